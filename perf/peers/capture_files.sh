#!/usr/bin/env bash
# What people wait for when they have a capture file: text, counts, a copy, a split by port.
#
#   perf/peers/capture_files.sh [CAPTURE] [ROUNDS]
#
# CAPTURE: any pcap; by default a mix that wharf's own synthetic source writes. CPU seconds (user + system)
# on one core, page cache warm, medians of interleaved rounds.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${2:-5}
core=${CORE:-1}
for tool in tcpdump editcap tshark; do
    command -v "$tool" >/dev/null || { echo "$tool is missing (Debian: tcpdump, wireshark-common, tshark)" >&2; exit 1; }
done
cargo build --release --quiet
wharf=$PWD/target/release/wharf
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
capture=${1:-}
if [ -z "$capture" ]; then
    echo "usage: perf/peers/capture_files.sh CAPTURE [ROUNDS]" >&2
    exit 2
fi
export TZ=UTC

# Name, owed ratio (ours / peer, at most), peer's name, our command, the peer's command.
cases=(
    "text|0.33|tcpdump -n|$wharf sniff -n -r $capture|tcpdump -n -r $capture"
    "count||tcpdump --count|$wharf sniff --count -n -r $capture|tcpdump --count -n -r $capture"
    "copy||tcpdump -w|$wharf sniff -n -r $capture -w $scratch/ours.pcap|tcpdump -n -r $capture -w $scratch/peer.pcap"
    "json|0.03|tshark -n (plain text)|$wharf sniff -n -r $capture --json|tshark -n -r $capture"
    "split|0.33|editcap (a mere copy)|$wharf split -r $capture --each $scratch/parts/{proto}-{port}.pcap|editcap $capture $scratch/copy.pcap"
)

cpu() { # CPU seconds of a command, output discarded
    local TIMEFORMAT='%U %S'
    { time taskset -c "$core" "$@" >/dev/null 2>&1; } 2>&1 | awk '{ print $1 + $2 }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc) cores, Linux $(uname -r)"
echo "versions: $("$wharf" --version); $(tcpdump --version 2>&1 | head -1); $(tshark --version 2>/dev/null | head -1)"
echo "capture: $(stat -c %s "$capture") bytes, $("$wharf" sniff --count -r "$capture" 2>&1 | grep -m1 'received =' || true)"
cat "$capture" >/dev/null
results=perf/results/capture_files.tsv
printf 'metric\tours\tpeer\tpeer_name\tratio\towed\n' >"$results"
for round in $(seq "$rounds"); do
    for entry in "${cases[@]}"; do
        IFS='|' read -r name _ _ ours peer <<<"$entry"
        # The slow dissector needs no five rounds to make its point.
        rm -rf "$scratch/parts"
        cpu $ours >>"$scratch/$name.ours"
        if [ "$name" != json ] || [ "$round" = 1 ]; then cpu $peer >>"$scratch/$name.peer"; fi
    done
done
failed=0
for entry in "${cases[@]}"; do
    IFS='|' read -r name owed peer_name _ _ <<<"$entry"
    a=$(median <"$scratch/$name.ours")
    b=$(median <"$scratch/$name.peer")
    ratio=$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.3f", a / b }')
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$a" "$b" "$peer_name" "$ratio" "${owed:+<= $owed}" >>"$results"
    if [ -n "$owed" ] && awk -v r="$ratio" -v o="$owed" 'BEGIN { exit !(r > o) }'; then failed=1; fi
done
column -t -s $'\t' "$results"
exit "$failed"
