#!/usr/bin/env bash
# Flows of a whole capture file beside the tools that people use for them: softflowd, nfpcapd and tshark.
#
#   perf/peers/flows.sh CAPTURE [ROUNDS]
#
# CAPTURE is a pcap file of some 300 MB, so that start-up does not count. CPU seconds (user + system) on one core (CORE=n
# chooses it), page cache warm, medians of ROUNDS interleaved rounds (5); then wall seconds on one core and on two
# (CORES=0,1). Ours with -n: no peer looks names up. softflowd sends its records to a port where nobody listens, and has room for as many flows as ours. The
# packets of our records must add up to those of the file, and records must be the same from two cores. All by numbers (-n): the
# others do not look for names either. Rows of the table itself come from perf/peers/core.sh flow. All go to perf/results/flows.tsv; exits 1 when a ratio is below the one owed.
set -euo pipefail
fail() { echo "$*" >&2; exit 2; }

capture=$(realpath -e -- "${1:?usage: perf/peers/flows.sh CAPTURE [ROUNDS]}")
rounds=${2:-5}
cd "$(dirname "$0")/../.."
for tool in softflowd nfpcapd tshark capinfos taskset column jq; do
    command -v "$tool" >/dev/null || fail "$tool is missing (Debian: softflowd nfdump tshark wireshark-common jq)"
done
cores=${CORES:-0,1}
core=${CORE:-${cores##*,}}
if [ -z "${WHARF:-}" ]; then cargo build --release --quiet --bin wharf; fi
wharf=${WHARF:-$PWD/target/release/wharf}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

ours() { taskset -c "$core" "$wharf" flows -n -r "$capture" --csv; }
softflowd() {
    taskset -c "$core" softflowd -d -r "$capture" -m 1048576 -n 127.0.0.1:9 -p "$scratch/pid" -c "$scratch/ctl" </dev/null
}
nfpcapd() { rm -rf "$scratch/nf"; mkdir "$scratch/nf"; taskset -c "$core" nfpcapd -r "$capture" -w "$scratch/nf"; }
tshark() { taskset -c "$core" tshark -n -q -r "$capture" -z conv,tcp -z conv,udp; }

seconds() { # CPU seconds of a command, its output discarded
    local TIMEFORMAT='%U %S' times
    times=$({ time "$@" >/dev/null 2>&1; } 2>&1) || fail "$* failed"
    awk '{ print $1 + $2 }' <<<"$times"
}
wall() { # Wall seconds of our command on these cores
    local TIMEFORMAT='%R'
    { time taskset -c "$1" "$wharf" flows -n -r "$capture" --csv --cores "$1" >/dev/null 2>&1; } 2>&1
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

whole=$(capinfos -Mrc -T "$capture" | cut -f 2)
"$wharf" flows -n -r "$capture" --json --cores "$core" >"$scratch/one" 2>"$scratch/err"
sum=$(jq '.packets | add' "$scratch/one" | awk '{ n += $1 } END { print n }')
without=$(sed -n 's/.* records + \([0-9]*\) without IP.*/\1/p' "$scratch/err")
[ $((sum + without)) = "$whole" ] || fail "our records: $sum + $without of $whole packets: not compared"
"$wharf" flows -n -r "$capture" --json --cores "$cores" 2>/dev/null | cmp -s - "$scratch/one" ||
    fail "other records from cores $cores than from $core"
records=$(wc -l <"$scratch/one")
rm "$scratch/one"

echo "date: $(date -u +%F)"
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ //'), $(nproc) cores, Linux $(uname -r)"
echo "versions: $("$wharf" --version); $(command softflowd -h 2>&1 | sed -n 's/This is \(softflowd version [^ ]*\)\..*/\1/p'); $(command nfpcapd -V 2>&1 | head -1); $(command tshark --version 2>/dev/null | head -1)"
echo "capture: $(basename "$capture"), $(stat -c %s "$capture") bytes, $whole packets, $records records; $rounds rounds"
for round in $(seq "$rounds"); do
    for name in ours softflowd nfpcapd tshark; do
        # tshark is so slow that one round makes the point.
        if [ "$name" = tshark ] && [ "$round" != 1 ]; then continue; fi
        seconds "$name" >>"$scratch/$name"
    done
    wall "$core" >>"$scratch/one"
    wall "$cores" >>"$scratch/two"
done

results=perf/results/flows.tsv
failed=0
printf 'metric\tours\tpeer\tpeer_name\tratio\towed\n' >"$results"
row() { # metric, ours, peer, name, owed
    local ratio
    ratio=$(awk -v a="$2" -v b="$3" 'BEGIN { printf "%.2f", b / a }')
    printf '%s\t%s\t%s\t%s\t%s\t>= %s\n' "$1" "$2" "$3" "$4" "$ratio" "$5" >>"$results"
    if awk -v r="$ratio" -v o="$5" 'BEGIN { exit !(r < o) }'; then failed=1; fi
}
row 'CPU seconds' "$(median "$scratch/ours")" "$(median "$scratch/softflowd")" softflowd 10
row 'CPU seconds' "$(median "$scratch/ours")" "$(median "$scratch/nfpcapd")" nfpcapd 10
row 'CPU seconds' "$(median "$scratch/ours")" "$(median "$scratch/tshark")" 'tshark -z conv' 50
row 'wall seconds on two cores' "$(median "$scratch/two")" "$(median "$scratch/one")" 'ours on one' 1.6
if [ -z "${WITHOUT_TABLE:-}" ]; then
    ROUNDS="$rounds" CORES="$cores" TSV="$scratch/table" perf/peers/core.sh flow || failed=1
    tail -n +2 "$scratch/table" >>"$results"
fi
column -t -s $'\t' "$results"
exit "$failed"
