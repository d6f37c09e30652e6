#!/usr/bin/env bash
# DPDK's testpmd beside ours on one capture, one core each, no wire.
#
#   perf/peers/testpmd.sh CAPTURE [SECONDS]
#
# testpmd hands the capture's first 8,192 packets round through its pcap port (net_pcap, infinite_rx: copied out of memory)
# in its csum mode, which parses each packet, computes its IPv4 and transport checksums anew and gives it to a port that
# drops it. Ours reads the whole file from page cache, verifies every checksum and counts by port. That is not the same
# work, so no ratio is owed here: perf/peers/core.sh has DPDK's library do exactly ours in memory. SECONDS (5)
# bounds testpmd; CORE=n chooses the core, TESTPMD=path another testpmd. The table goes to perf/results/testpmd.tsv.
set -euo pipefail
fail() { echo "$*" >&2; exit 2; }

capture=$(realpath -e -- "${1:?usage: perf/peers/testpmd.sh CAPTURE [SECONDS]}")
seconds=${2:-5}
testpmd=${TESTPMD:-dpdk-testpmd}
cd "$(dirname "$0")/../.."
for tool in "$testpmd" capinfos taskset column; do
    command -v "$tool" >/dev/null || fail "$tool is missing (Debian: dpdk-dev wireshark-common util-linux bsdextrautils)"
done
core=${CORE:-$(taskset -cp $$ | sed 's/.*[ ,-]//')}
# testpmd's main thread only waits for the end.
main=$(taskset -cp $$ | sed 's/.*: //; s/[ ,-].*//')
[ "$main" != "$core" ] || fail "testpmd needs two cores: one of them waits"
cargo build --release --quiet
wharf=$PWD/target/release/wharf
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Small enough for its mbufs, and for the L2 cache where frames are small.
"$wharf" sniff -n -r "$capture" -c 8192 -w "$scratch/head.pcap" 2>/dev/null
packets=$(capinfos -Mrc -T "$capture" | cut -f 2)
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ //'), $(nproc) cores, Linux $(uname -r)"
echo "versions: $("$wharf" --version); DPDK $(pkg-config --modversion libdpdk 2>/dev/null || echo '?')"
echo "capture: $(basename "$capture"), $packets packets"

# Packets a second, the median of what it prints each second after the first.
peer() {
    # It ends by itself on an interrupt; some seconds later it is killed.
    timeout --signal=INT --kill-after=5 "$((seconds + 2))" \
        env RUNTIME_DIRECTORY="$scratch" \
        "$testpmd" -l "$main,$core" --main-lcore "$main" --no-pci --no-huge --no-shconf --no-telemetry -m 512 \
        --vdev "net_pcap0,rx_pcap=$scratch/head.pcap,infinite_rx=1" -- --forward-mode="$1" --nb-cores=1 \
        --total-num-mbufs=32768 --stats-period 1 >"$scratch/testpmd" 2>&1 </dev/null || true
    awk '/Rx-pps:/ { print $2 }' "$scratch/testpmd" | tail -n +3 | sort -n |
        awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] / 1e6 }'
}
ours() {
    local TIMEFORMAT='%U %S' counted times
    counted=$(taskset -c "$core" "$wharf" sniff -n --count -r "$capture" 2>/dev/null | awk 'END { print $1 }')
    [ "$counted" = "$packets" ] || fail "ours counts $counted of $packets packets: not compared"
    times=$({ time taskset -c "$core" "$wharf" sniff -n --count -r "$capture" >/dev/null 2>&1; } 2>&1)
    awk -v packets="$packets" '{ print packets / ($1 + $2) / 1e6 }' <<<"$times"
}

tables=${RESULTS:-perf/results}
mkdir -p "$tables"
results=$tables/testpmd.tsv
own=$(ours)
printf 'metric\tours\tpeer\tpeer_name\tratio\towed\n' >"$results"
for mode in csum io; do
    rate=$(peer "$mode")
    [ -n "$rate" ] || { tail -5 "$scratch/testpmd" >&2; fail "testpmd told no rate"; }
    awk -v o="$own" -v p="$rate" -v m="$mode" \
        'BEGIN { printf "M packets/s\t%.2f\t%.2f\ttestpmd %s, pcap port\t%.3f\t\n", o, p, m, o / p }' >>"$results"
done
column -t -s $'\t' "$results"
