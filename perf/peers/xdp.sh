#!/usr/bin/env bash
# AF_XDP over a veth pair: wharf, with parse, both checksums and counts by port, beside a bare loop that only counts. As
# root: it builds namespaces of its own. The sender has CPU 0, with the kernel's half of receiving; the receiver CPU 1. With a third CPU, NAPI=2
# has a thread of the kernel's take live frames in there. testpmd is run where it has its driver.
#
#   perf/peers/xdp.sh
#
# ROUNDS (5), TIME (milliseconds a run, 1000), BYTES (60) and NAPI (off) in the environment. Writes perf/results/xdp.tsv and exits with 0
# only if every owed ratio holds.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "${RESULTS:=perf/results}"
results=$(realpath "$RESULTS")
cd perf/peers/xdp
target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet --locked
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc) cores, Linux $(uname -r), $(rustc --version)"

table=$("$target/release/xdp-peers" all "${ROUNDS:-5}" "${TIME:-1000}" "${BYTES:-60}")
column -t -s $'\t' <<<"$table" 2>/dev/null || echo "$table"
awk -F '\t' -v OFS='\t' '
    NR > 1 { sent[$1, $2] = $4; received[$1, $2] = $5; cpu[$1, $2] = $6; switches[$1, $2] = $7; feeds[$1] }
    function row(metric, ours, peer, name, ratio, owed) {
        print metric, ours, peer, name, sprintf("%.3f", ratio), owed
        if (owed != "" && ratio < owed) failed = 1
    }
    END {
        print "metric", "ours", "peer", "peer_name", "ratio", "owed"
        for (feed in feeds) {
            spin = received[feed, "WharfSpin"]; sleep = received[feed, "WharfSleep"]
            bare = received[feed, "BareSpin"]; poll = received[feed, "BarePoll"]
            # What was offered: a ratio of little of it would say little.
            offered = sent[feed, "WharfSpin"]; theirs = sent[feed, "BareSpin"]
            row(feed ", spinning, k frames/s offered", offered, theirs, "bare loop, spinning", offered / theirs, "")
            if ((feed, "Testpmd") in received) {
                theirs = received[feed, "Testpmd"]
                row(feed ", spinning, k frames/s", spin, theirs, "testpmd af_xdp rxonly", theirs ? spin / theirs : 0, "")
            }
            row(feed ", spinning, k frames/s", spin, bare, "bare loop, spinning", spin / bare, feed == "Live" ? 0.9 : "")
            row(feed ", asleep, k frames/s", sleep, poll, "bare loop, polling", sleep / poll, feed == "Sockets" ? 1 : "")
            ours = switches[feed, "WharfSleep"]; theirs = switches[feed, "BarePoll"]
            row(feed ", asleep, switches/s", ours, theirs, "bare loop, polling", theirs / ours, feed == "Sockets" ? 1 : "")
            ours = cpu[feed, "WharfSleep"]; theirs = cpu[feed, "BarePoll"]
            row(feed ", asleep, CPU ns a frame", ours, theirs, "bare loop, polling", theirs / ours, "")
        }
        exit failed
    }' <<<"$table" | tee "$results/xdp.tsv"
