#!/usr/bin/env bash
# DPDK's testpmd beside ours on one capture, one core each, no wire: packets a second with both checksums looked at.
#
#   perf/peers/testpmd.sh [CAPTURE [SECONDS]]
#
# testpmd reads the capture over and over through its pcap port (net_pcap, infinite_rx, which copies frames out of
# memory), in its csum mode, which parses each packet, recomputes its IPv4 and transport checksums and hands it to a port
# that drops it. Ours reads the same file and counts by port with every checksum verified. Not the same work: hence no
# ratio is owed, and perf/peers/core.sh compares DPDK's library in memory. Without CAPTURE: 100,000 frames of 64 bytes
# by `wharf demo`. SECONDS (5) bounds the run; CORE chooses the core, the last one otherwise.
set -euo pipefail
fail() { echo "$*" >&2; exit 2; }
