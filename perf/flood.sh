#!/usr/bin/env bash
# What floods do to the flow meter: ten million SYNs of as many flows beside as many packets of flows that fit, and keys made by
# somebody who knows the code but not the seed beside keys without a pattern. In one process, by turns.
#
#   perf/flood.sh
#
# CORE (1) measures. Owed: 160 bytes of resident memory a flow, half the rate of friendly traffic, no more memory at the
# end than when the table was full (1.1), and no more for crafted keys (1.5); that every eviction is counted the bench
# itself asserts. The table goes to perf/results/flood.tsv. Exits with 0 only if all holds. `chrt -r 1` before the command
# keeps the core on a busy machine.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "${RESULTS:=perf/results}"
results=$(realpath "$RESULTS")/flood.tsv
program=$(cargo bench --no-run --bench flood --message-format json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*flood-[^"]*\)".*/\1/p' | tail -1)
[ -x "$program" ] || { echo "the bench cannot be built: cargo bench --no-run --bench flood" >&2; exit 2; }
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc --all) cores, Linux $(uname -r), $(rustc --version)"
echo
taskset -c "${CORE:-1}" "$program" --bench >"$results.new"
mv "$results.new" "$results"
column -t -s "$(printf '\t')" "$results" 2>/dev/null || cat "$results"
# Of rates the ratio is to be no less than owed, of bytes no more.
awk -F '\t' 'NR > 1 && ($1 ~ /\/s$/ ? $5 < $6 : $5 > $6) { print "MISSED: " $1; missed = 1 } END { exit missed }' "$results"
