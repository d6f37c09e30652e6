#!/usr/bin/env bash
# What people wait for when they have a capture file: text, counts, a copy, JSON, a split by port.
#
#   perf/peers/capture_files.sh CAPTURE [ROUNDS]
#
# CAPTURE is a pcap file of some 100 MB or more, so that start-up does not count. CPU seconds (user + system) on one
# core (CORE=n chooses it), page cache warm, medians of ROUNDS interleaved rounds (5). Every command must first
# account for every packet of the file. The table goes to perf/results/capture_files.tsv; exits 1 when a ratio
# is above the one owed. The last row has no claim: it is what the kernel takes to copy the bytes, in cp, of what editcap takes
# for its copy. No split can be below it.
set -euo pipefail
fail() { echo "$*" >&2; exit 2; }

capture=$(realpath -e -- "${1:?usage: perf/peers/capture_files.sh CAPTURE [ROUNDS]}")
rounds=${2:-5}
cd "$(dirname "$0")/../.."
for tool in tcpdump editcap capinfos tshark taskset column; do
    command -v "$tool" >/dev/null ||
        fail "$tool is missing (Debian: tcpdump wireshark-common tshark util-linux bsdextrautils)"
done
# By default the last core this process may use: the first one has the interrupts.
core=${CORE:-$(taskset -cp $$ | sed 's/.*[ ,-]//')}
cargo build --release --quiet
wharf=$PWD/target/release/wharf
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export TZ=UTC

names=(text count copy json split)
declare -A owed=([text]=0.33 [json]=0.03 [split]=0.33) # ours / peer, at most
declare -A peer_name=(
    [text]='tcpdump -n' [count]='tcpdump --count' [copy]='tcpdump -w' [json]='tshark -n (plain text)'
    [split]='editcap (one copy, no split)'
)
ours() {
    case $1 in
        text) "${on_core[@]}" "$wharf" sniff -n -r "$capture" ;;
        count) "${on_core[@]}" "$wharf" sniff -n --count -r "$capture" ;;
        copy) "${on_core[@]}" "$wharf" sniff -n -r "$capture" -w "$scratch/ours.pcap" ;;
        json) "${on_core[@]}" "$wharf" sniff -n --json -r "$capture" ;;
        split) rm -rf "$scratch/parts"
            "${on_core[@]}" "$wharf" split -r "$capture" --each "$scratch/parts/{proto}-{port}.pcap" ;;
    esac
}
peer() {
    case $1 in
        text) "${on_core[@]}" tcpdump -n -r "$capture" ;;
        count) "${on_core[@]}" tcpdump -n --count -r "$capture" ;;
        copy) "${on_core[@]}" tcpdump -n -r "$capture" -w "$scratch/peer.pcap" ;;
        json) "${on_core[@]}" tshark -n -r "$capture" ;;
        split) "${on_core[@]}" editcap "$capture" "$scratch/copy.pcap" ;;
    esac
}
on_core=(taskset -c "$core")
# What reading and writing the bytes takes that nobody looks at.
bound() { "${on_core[@]}" cp --reflink=never "$capture" "$scratch/bound.pcap"; }

# How many packets a file has, by a reader that is neither ours nor a peer timed here.
packets() { capinfos -Mrc -T "$1" | cut -f 2; }
expect() { [ "$2" = "$whole" ] || fail "$1: $2 of $whole packets: not compared"; }

report() {
    echo "date: $(date -u +%F)"
    echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ //'), $(nproc) cores, Linux $(uname -r)"
    echo "load: $(cut -d' ' -f1-3 /proc/loadavg) (1, 5, 15 minutes)"
    echo "versions: $("$wharf" --version); $(tcpdump --version 2>&1 | head -1); $(tshark --version 2>/dev/null | head -1)"
    echo "capture: $(basename "$capture"), $(stat -c %s "$capture") bytes, $whole packets; $rounds rounds"
}

# The answers, before any time counts; this also warms the page cache.
whole=$(packets "$capture")
expect "our text" "$(ours text 2>/dev/null | grep -c '^[0-9]')"
expect "tcpdump's text" "$(peer text 2>/dev/null | grep -c '^[0-9]')"
expect "our count" "$(ours count 2>/dev/null | awk 'END { print $1 }')"
expect "tcpdump's count" "$(peer count 2>/dev/null | awk 'END { print $1 }')"
expect "our JSON" "$(ours json 2>/dev/null | wc -l)"
ours copy 2>/dev/null && expect "our copy" "$(packets "$scratch/ours.pcap")"
peer copy 2>/dev/null && expect "tcpdump's copy" "$(packets "$scratch/peer.pcap")"
ours split 2>/dev/null
expect "our split" "$(capinfos -Mrc -T "$scratch"/parts/* | awk -F '\t' '{ sum += $2 } END { print sum }')"
peer split 2>/dev/null && expect "editcap's copy" "$(packets "$scratch/copy.pcap")"
bound && expect "cp's copy" "$(packets "$scratch/bound.pcap")"

tables=${RESULTS:-perf/results}
mkdir -p "$tables"
report | tee "$tables/capture_files.txt"

seconds() { # CPU seconds of `ours NAME` or `peer NAME`, its output discarded
    local TIMEFORMAT='%U %S' times
    times=$({ time "$@" >/dev/null 2>&1; } 2>&1) || fail "$* failed"
    awk '{ print $1 + $2 }' <<<"$times"
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for round in $(seq "$rounds"); do
    for name in "${names[@]}"; do
        seconds ours "$name" >>"$scratch/$name.ours"
        # tshark is so slow that one round makes the point.
        if [ "$name" = json ] && [ "$round" != 1 ]; then continue; fi
        seconds peer "$name" >>"$scratch/$name.peer"
    done
    seconds bound >>"$scratch/bound"
done

results=$tables/capture_files.tsv
failed=0
printf 'metric\tours\tpeer\tpeer_name\tratio\towed\n' >"$results"
for name in "${names[@]}"; do
    a=$(median "$scratch/$name.ours")
    b=$(median "$scratch/$name.peer")
    most=${owed[$name]:-}
    ratio=$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.3f", a / b }')
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$a" "$b" "${peer_name[$name]}" "$ratio" "${most:+<= $most}" >>"$results"
    if [ -n "$most" ] && awk -v r="$ratio" -v o="$most" 'BEGIN { exit !(r > o) }'; then failed=1; fi
done
a=$(median "$scratch/bound")
b=$(median "$scratch/split.peer")
ratio=$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.3f", a / b }')
printf 'cp alone\t%s\t%s\t%s\t%s\t\n' "$a" "$b" "${peer_name[split]}" "$ratio" >>"$results"
column -t -s $'\t' "$results"
exit "$failed"
