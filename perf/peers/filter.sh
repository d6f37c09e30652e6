#!/usr/bin/env bash
# Filters beside libpcap: how long the programs are, and what an expression costs a frame, in one process, interleaved, pinned.
#
#   perf/peers/filter.sh
#
# Needs libpcap's library (Debian: libpcap0.8), and what perf/peers/core needs to be built. ROUNDS (15) and CORES (0,1; the second one
# measures) in the environment. Twenty common expressions over the same synthetic frames, by wharf's evaluator and by bpf_filter with
# libpcap's optimised program: the median of the twenty ratios is owed to be 3. Instructions of the programs for
# tests/filter/expressions.txt to libpcap's: the median is owed to be no more than 1.25. The table goes to perf/results/filter.tsv.
# Exits with 0 only if both hold. `chrt -r 1` before the command keeps the cores on a busy machine.
set -euo pipefail
cd "$(dirname "$0")/core"
results=$PWD/../../results
ldconfig -p | grep -q libpcap.so.0.8 || { echo "libpcap is missing: apt-get install libpcap0.8" >&2; exit 1; }
cargo build --release --quiet --locked
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc) cores, Linux $(uname -r), $(rustc --version)"
echo
mkdir -p "$results"
exec target/release/wharf-peers --rounds "${ROUNDS:-15}" --cores "${CORES:-0,1}" --tsv "$results/filter.tsv" filter
