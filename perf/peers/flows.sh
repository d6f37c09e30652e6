#!/usr/bin/env bash
# Flows of a whole capture file beside the tools that people use for them: softflowd, nfpcapd and tshark.
#
#   perf/peers/flows.sh CAPTURE [ROUNDS]
#
# CAPTURE is a pcap file of some 300 MB, so that start-up does not count. CPU seconds (user + system) on one core (CORE=n
# chooses it), page cache warm, medians of ROUNDS interleaved rounds (7); tshark, which takes as long as all others together, has
# one. Then wall seconds on one core and on two (CORES=0,1).
#
# No peer verifies a checksum or looks for names, so that the owed ratios are for -n and -K (numbers, checksums left alone); rows without
# a bar are for what the command does unless told otherwise. softflowd sends its records to a port where nobody listens, and has room for as
# many flows as ours. Before anything is timed, the packets of our records must add up to those of the file, and records with names
# must be the same from two cores. What the bars mean is told by the last rows: wharf reading, parsing and verifying the same
# file, and dd reading it, both doing nothing else. Rows of the table itself come from perf/peers/core.sh flow (not with WITHOUT_TABLE=1). All go to
# perf/results/flows.tsv; exits 1 when a ratio is below the one owed. PREFIX is put before each timed command, such as chrt -r 1.
set -euo pipefail
fail() { echo "$*" >&2; exit 2; }

capture=$(realpath -e -- "${1:?usage: perf/peers/flows.sh CAPTURE [ROUNDS]}")
rounds=${2:-7}
cd "$(dirname "$0")/../.."
for tool in softflowd nfpcapd tshark capinfos taskset column jq; do
    command -v "$tool" >/dev/null || fail "$tool is missing (Debian: softflowd nfdump tshark wireshark-common jq)"
done
cores=${CORES:-0,1}
core=${CORE:-${cores##*,}}
read -ra prefix <<<"${PREFIX:-}"
if [ -z "${WHARF:-}" ]; then cargo build --release --quiet --bin wharf; fi
wharf=${WHARF:-$PWD/target/release/wharf}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

on_core() { "${prefix[@]}" taskset -c "$core" "$@"; }
plain() { on_core "$wharf" flows -n -K -r "$capture" --csv; }
verified() { on_core "$wharf" flows -n -r "$capture" --csv; }
named() { on_core "$wharf" flows -r "$capture" --csv; }
table() { on_core "$wharf" flows -r "$capture"; }
count() { on_core "$wharf" sniff --count -r "$capture"; }
read_alone() { on_core dd if="$capture" of=/dev/null bs=256K; }
# It goes on as a daemon unless -d is given, and stops at the end of the file: but with a control socket it may wait for somebody there.
softflowd() {
    on_core softflowd -d -r "$capture" -m 1048576 -n 127.0.0.1:9 -p "$scratch/pid" -c none </dev/null
}
nfpcapd() { rm -rf "$scratch/nf"; mkdir "$scratch/nf"; on_core nfpcapd -r "$capture" -w "$scratch/nf"; }
tshark() { on_core tshark -n -q -r "$capture" -z conv,tcp -z conv,udp; }

seconds() { # CPU seconds of a command, its output discarded
    local TIMEFORMAT='%U %S' times
    times=$({ time "$@" >/dev/null 2>"$scratch/err"; } 2>&1) || fail "$* failed: $(tail -3 "$scratch/err")"
    awk '{ print $1 + $2 }' <<<"$times"
}
wall() { # Wall seconds of our command, on these cores with these options
    local TIMEFORMAT='%R' on=$1
    shift
    { time "${prefix[@]}" taskset -c "$on" "$wharf" flows "$@" -r "$capture" --csv --cores "$on" >/dev/null 2>&1; } 2>&1
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

whole=$(capinfos -Mrc -T "$capture" | cut -f 2)
"$wharf" flows -r "$capture" --json --cores "$core" >"$scratch/one" 2>"$scratch/err"
sum=$(jq '.packets | add' "$scratch/one" | awk '{ n += $1 } END { print n }')
without=$(sed -n 's/.* records + \([0-9]*\) without IP.*/\1/p' "$scratch/err")
[ $((sum + without)) = "$whole" ] || fail "our records: $sum + $without of $whole packets: not compared"
"$wharf" flows -r "$capture" --json --cores "$cores" 2>/dev/null | cmp -s - "$scratch/one" ||
    fail "other records from cores $cores than from $core"
records=$(wc -l <"$scratch/one")
rm "$scratch/one"

echo "date: $(date -u +%F)"
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ //'), $(nproc) cores, Linux $(uname -r)"
echo "versions: $("$wharf" --version); $(command softflowd -h 2>&1 | sed -n 's/This is \(softflowd version [^ ]*\)\..*/\1/p'); $(command nfpcapd -V 2>&1 | head -1); $(command tshark --version 2>/dev/null | head -1)"
echo "capture: $(basename "$capture"), $(stat -c %s "$capture") bytes, $whole packets, $records records; $rounds rounds"
for round in $(seq "$rounds"); do
    for name in plain softflowd nfpcapd verified named table count read_alone; do
        seconds "$name" >>"$scratch/$name"
    done
    if [ "$round" = 1 ]; then seconds tshark >>"$scratch/tshark"; fi
    wall "$core" -n -K >>"$scratch/plain-one"
    wall "$cores" -n -K >>"$scratch/plain-two"
    wall "$core" >>"$scratch/named-one"
    wall "$cores" >>"$scratch/named-two"
done

results=${RESULTS:-perf/results}/flows.tsv
mkdir -p "${results%/*}"
failed=0
printf 'metric\tours\tpeer\tpeer_name\tratio\towed\n' >"$results"
row() { # metric, ours, peer, name, owed or nothing
    local ratio ours peer
    ours=$(median "$scratch/$2") peer=$(median "$scratch/$3")
    ratio=$(awk -v a="$ours" -v b="$peer" 'BEGIN { printf "%.2f", b / a }')
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$ours" "$peer" "$4" "$ratio" "${5:+>= $5}" >>"$results"
    if awk -v r="$ratio" -v o="${5:-0}" 'BEGIN { exit !(r < o) }'; then failed=1; fi
}
row 'CPU seconds, -n -K' plain softflowd softflowd 10
row 'CPU seconds, -n -K' plain nfpcapd nfpcapd 10
row 'CPU seconds, -n -K' plain tshark 'tshark -z conv' 50
row 'wall seconds on two cores, -n -K' plain-two plain-one 'ours on one' 1.6
row 'wall seconds on two cores' named-two named-one 'ours on one' 1.6
row 'CPU seconds, -n' verified softflowd softflowd
row 'CPU seconds' named softflowd softflowd
row 'CPU seconds' named nfpcapd nfpcapd
row 'CPU seconds' named tshark 'tshark -z conv'
row 'CPU seconds, a table' table tshark 'tshark -z conv'
row 'CPU seconds, sniff --count' count softflowd softflowd
row 'CPU seconds, sniff --count' count nfpcapd nfpcapd
row 'CPU seconds, reading alone (dd)' read_alone softflowd softflowd
row 'CPU seconds, reading alone (dd)' read_alone nfpcapd nfpcapd
if [ -z "${WITHOUT_TABLE:-}" ]; then
    ROUNDS="$rounds" CORES="$cores" TSV="$scratch/table" perf/peers/core.sh flow || failed=1
    tail -n +2 "$scratch/table" >>"$results"
fi
column -t -s $'\t' "$results"
exit "$failed"
