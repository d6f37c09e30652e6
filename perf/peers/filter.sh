#!/usr/bin/env bash
# Filters beside libpcap: how long the programs are, and what an expression costs a frame, in one process, interleaved, pinned; and
# what a live capture costs whose filter rejects 99 % of what comes.
#
#   perf/peers/filter.sh [core|live...]     both without one
#
# core: needs libpcap's library (Debian: libpcap0.8), and what perf/peers/core needs to be built. ROUNDS (15) and CORES (0,1; the second
# one measures). Twenty common expressions over the same synthetic frames, by wharf's evaluator and by bpf_filter with libpcap's
# optimised program: the median of the twenty ratios is owed to be 3. Instructions of the programs for
# tests/filter/expressions.txt to libpcap's: the median is owed to be no more than 1.25.
#
# live: `wharf gen` sends RATE (1000000) packets/s for TIME (4) s to ports of which one in a hundred is wanted, over a veth pair between two
# network namespaces that this script makes; what the capturing process takes of its core meanwhile is owed to be no more than 5 %. tcpdump
# with the same filter is shown beside it. WHARF names another binary. Needs iproute2, util-linux, tcpdump.
#
# The table goes to perf/results/filter.tsv; rows of a part that was not run stay. Exits with 0 only if all that was run holds.
# `chrt -r 1` before the command keeps the cores on a busy machine.
set -euo pipefail
fail() { echo "$*" >&2; exit 2; }
cd "$(dirname "$0")/../.."
parts=("$@")
[ $# -gt 0 ] || parts=(core live)
mkdir -p "${RESULTS:=perf/results}"
results=$(realpath "$RESULTS")/filter.tsv
cores=${CORES:-0,1}
if [ -z "${IN_NAMESPACE:-}" ]; then
    for part in "${parts[@]}"; do
        case $part in
            core)
                ldconfig -p | grep libpcap.so.0.8 >/dev/null || fail "libpcap is missing: apt-get install libpcap0.8"
                (cd perf/peers/core && cargo build --release --quiet --locked)
                ;;
            live)
                for tool in ip nsenter unshare taskset tcpdump; do
                    command -v "$tool" >/dev/null || fail "$tool is missing (Debian: iproute2 util-linux tcpdump)"
                done
                [ -n "${WHARF:-}" ] || cargo build --release --quiet
                (cd perf/peers/live && cargo build --release --quiet --locked)
                ;;
            *) fail "no part $part: core, live" ;;
        esac
    done
    user=()
    [ "$(id -u)" = 0 ] || user=(--map-root-user)
    exec env IN_NAMESPACE=1 unshare --net "${user[@]}" "perf/peers/$(basename "$0")" "${parts[@]}"
fi
wharf=${WHARF:-$PWD/target/release/wharf}
bare=$PWD/perf/peers/live/target/release/wharf-live-peers
on_core=(taskset -c "${cores##*,}")
chrt -r 1 true 2>/dev/null && on_core=(chrt -r 1 taskset -c "${cores##*,}")
scratch=$(mktemp -d)
rows=$scratch/rows
: >"$rows"
trap 'kill "${far:-}" 2>/dev/null || true; rm -rf "$scratch"' EXIT
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc --all) cores, Linux $(uname -r), $(rustc --version)"
echo

held=0
part_core() {
    perf/peers/core/target/release/wharf-peers --rounds "${ROUNDS:-15}" --cores "$cores" --tsv "$scratch/core.tsv" filter || held=1
    tail -n +2 "$scratch/core.tsv" >>"$rows"
}

# The far end's captures of vb: each writes its CPU time in ns when it ends, and what it says.
filter='udp dst port 1000 or udp dst port 77'
tap_ours() { tap "$wharf" sniff -i vb -p -n --count "$filter"; }
tap_tcpdump() { tap tcpdump -i vb -n -p -B 131072 -w /dev/null "$filter"; }
tap() {
    exec taskset -c "${cores%%,*}" nsenter --target "$far" --net "$bare" cost "$scratch/id" "$scratch/cost" "$@" >"$scratch/out" 2>&1
}
captured() {
    case $1 in
        ours) sed -n 's/.* = \([0-9]*\) delivered .*/\1/p' "$scratch/out" ;;
        tcpdump) sed -n 's/^\([0-9]*\) packets captured$/\1/p' "$scratch/out" ;;
    esac
}
# One run: percent of a core, packets sent and packets that passed, in files of its own.
live_run() {
    local role=$1 tap pid begun sent got tick
    rm -f "$scratch"/{id,cost,out}
    (tap_"$role") &
    tap=$!
    until awk 'NR > 1 { found = 1 } END { exit !found }' "/proc/$far/net/packet" && [ -s "$scratch/id" ]; do
        kill -0 "$tap" 2>/dev/null || fail "$role: $(cat "$scratch/out")"
        sleep 0.05
    done
    sleep 0.5
    pid=$(cat "$scratch/id")
    # What it took to start, which is mostly the ring's memory, is left out.
    begun=$(cat "/proc/$pid/task"/*/schedstat | awk '{ sum += $1 } END { printf "%d", sum }')
    # A hundred ports, by so many flows that each has about one in a hundred frames.
    "${on_core[@]}" "$wharf" gen -i va --size 64 --protocol udp --port 1000-1099 --flows 65536 --distinct 16384 --rate "${RATE:-1000000}" \
        --duration "${TIME:-4}s" --json >"$scratch/json"
    sleep 0.3
    kill -INT "$pid"
    for ((tick = 0; tick < 100; tick++)); do
        kill -0 "$tap" 2>/dev/null || break
        sleep 0.1
    done
    wait "$tap" || true
    sent=$(sed -n 's/.*"packets":\([0-9]*\).*/\1/p' "$scratch/json" | head -1)
    got=$(captured "$role")
    # It is a filter that rejects 99 %, and not all.
    awk -v got="${got:-0}" -v sent="$sent" 'BEGIN { exit !(got > sent * 0.008 && got < sent * 0.012) }' ||
        fail "$role: ${got:-0} of $sent passed: $(tail -n 3 "$scratch/out")"
    awk -v begun="$begun" -v time="${TIME:-4}" '{ printf "%.3f\n", ($1 - begun) / time / 1e7 }' "$scratch/cost" >>"$scratch/percent.$role"
    echo "$sent" >>"$scratch/sent.$role"
    echo "$got" >>"$scratch/got.$role"
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

part_live() {
    local round role
    unshare --net sleep infinity &
    far=$!
    until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
    ip link add va type veth peer name vb netns "$far"
    ip link set va addrgenmode none up
    nsenter --target "$far" --net ip link set vb addrgenmode none up
    until ip link show va | grep -q LOWER_UP; do sleep 0.05; done
    for ((round = 0; round < (${ROUNDS:-15} + 4) / 5; round++)); do
        for role in ours tcpdump; do live_run "$role"; done
    done
    for role in ours tcpdump; do
        echo "live, $role: sent $(tr '\n' ' ' <"$scratch/sent.$role")in ${TIME:-4} s each, passed" \
            "$(tr '\n' ' ' <"$scratch/got.$role"), percent of a core $(tr '\n' ' ' <"$scratch/percent.$role")"
    done
    local percent
    percent=$(median "$scratch/percent.ours")
    {
        printf 'live, k packets/s sent\t%s\t%s\ttcpdump -B 131072 -w /dev/null\t\t\n' \
            "$(median "$scratch/sent.ours" | awk -v time="${TIME:-4}" '{ printf "%d", $1 / time / 1000 }')" \
            "$(median "$scratch/sent.tcpdump" | awk -v time="${TIME:-4}" '{ printf "%d", $1 / time / 1000 }')"
        printf 'live, 99 %% rejected, percent of a core\t%s\t%s\ttcpdump -B 131072 -w /dev/null\t\t<=5\n' \
            "$percent" "$(median "$scratch/percent.tcpdump")"
    } >>"$rows"
    awk -v percent="$percent" 'BEGIN { exit !(percent <= 5) }' || { echo "not held: live, $percent %"; held=1; }
}

for part in "${parts[@]}"; do "part_$part"; done
{
    printf 'metric\tours\tpeer\tpeer_name\tratio\towed\n'
    if [ -f "$results" ]; then
        tail -n +2 "$results" | awk -F'\t' 'NR == FNR { new[$1] = 1; next } !($1 in new)' "$rows" -
    fi
    cat "$rows"
} >"$scratch/results"
cp "$scratch/results" "$results"
exit "$held"
