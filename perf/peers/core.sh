#!/usr/bin/env bash
# The hot core beside the crates that do the same, in one process, interleaved, pinned to two cores.
#
#   perf/peers/core.sh [MODULE...]     checksum, ring, parse, growth, capture_read, filter, flow; all without one
#
# ROUNDS (15), CORES (0,1) and CAPTURE in the environment: with a capture file, perf/peers/testpmd.sh runs too after all
# modules. Writes perf/results/core.tsv, of which modules that are named replace their rows (or TSV, if that names a file), and exits with 0
# only if every owed ratio holds. On a busy machine rounds that lost a core are measured again; `chrt -r 1` before the
# command keeps the cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "${RESULTS:=perf/results}"
results=$(realpath "$RESULTS")
cd perf/peers/core
cargo build --release --quiet --locked

version() { awk -v name="$1" '$1 == "name" && $3 == "\"" name "\"" { getline; gsub(/"/, "", $3); print name, $3; exit }' Cargo.lock; }
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc) cores, Linux $(uname -r), $(rustc --version)"
echo "versions:$(for crate in wharf hashbrown foldhash internet-checksum etherparse pnet_packet smoltcp rtrb ringbuf crossbeam crossbeam-queue crossbeam-channel; do printf ' %s,' "$(version "$crate")"; done | sed 's/,$//'), DPDK $(pkg-config --modversion libdpdk 2>/dev/null || echo none)"
echo

# Large areas lie in huge pages where the kernel gives them out, for ours and the peers alike: frames in memory come from
# areas like these (DPDK's, an AF_XDP socket's), and with small pages it would be address look-ups that are compared.
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1

all=$results/core.tsv
table=${TSV:-$all}
if [ $# -gt 0 ] && [ -z "${TSV:-}" ] && [ -f "$all" ]; then
    table=$(mktemp)
    trap 'rm -f "$table"' EXIT
fi
status=0
target/release/wharf-peers --rounds "${ROUNDS:-15}" --cores "${CORES:-0,1}" --tsv "$table" "$@" || status=$?
if [ "$table" != "$all" ] && [ -z "${TSV:-}" ]; then
    # Parts that were run replace their rows, where those stand.
    awk -F '\t' '
        NR == FNR { if (!($1 in rows)) names[++count] = $1; rows[$1] = rows[$1] $0 "\n"; next }
        !($1 in rows) { print; next }
        !($1 in told) { printf "%s", rows[$1]; told[$1] }
        END { for (i = 1; i <= count; i++) if (!(names[i] in told)) printf "%s", rows[names[i]] }
    ' "$table" "$all" >"$table.all"
    mv "$table.all" "$all"
fi
if [ $# = 0 ]; then
    if [ -z "${CAPTURE:-}" ]; then
        echo "SKIPPED: testpmd is not compared, CAPTURE names no capture file" >&2
    else
        ../testpmd.sh "$CAPTURE" || status=$?
    fi
fi
exit "$status"
