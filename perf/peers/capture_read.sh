#!/usr/bin/env bash
# Reading capture files beside libpcap and the crates that do, in one process, interleaved, pinned.
#
#   perf/peers/capture_read.sh [CAPTURE]     a pcap file in place of the synthetic mix
#
# Needs libpcap's headers (libpcap-dev, pkg-config, a C compiler). ROUNDS (15) and CORES (0,1; what takes one core takes the
# second) in the environment. Writes captures of some 200 MB to TMPDIR, which should be on a disk, each twice: "as written" by
# 4 KiB, and "read in" from the disk again after its pages were dropped (POSIX_FADV_DONTNEED), since that decides how large the
# page cache's folios are and so what a read costs. All readers take the same file. The table goes to
# perf/results/capture_read.tsv. Exits with 0 only if every owed ratio holds. `chrt -r 1` before the command keeps the cores
# on a busy machine.
set -euo pipefail
if [ $# -gt 0 ]; then
    CAPTURE=$(realpath "$1")
    export CAPTURE
fi
cd "$(dirname "$0")/../.."
mkdir -p "${RESULTS:=perf/results}"
results=$(realpath "$RESULTS")
cd perf/peers/core
pkg-config --exists libpcap || { echo "libpcap-dev is missing: apt-get install libpcap-dev pkg-config" >&2; exit 1; }
cargo build --release --quiet --locked

version() { awk -v name="$1" '$1 == "name" && $3 == "\"" name "\"" { getline; gsub(/"/, "", $3); print name, $3; exit }' Cargo.lock; }
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc) cores, Linux $(uname -r), $(rustc --version)"
echo "versions: $(version wharf), $(version pcap-file), $(version pcap-parser)"
echo

exec target/release/wharf-peers --rounds "${ROUNDS:-15}" --cores "${CORES:-0,1}" --tsv "$results/capture_read.tsv" capture_read
