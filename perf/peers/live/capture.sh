# Part of perf/peers/live.sh, which sources it: capturing at the far end what `wharf gen` sends, each on a core of its own.

# Packets a second that are asked of the generator, and seconds a run. What a capture costs the sender, whose softirq fills the
# ring, may keep it below that: packets sent are counted.
pace=${RATE:-1000000}
seconds=${TIME:-10}
capture_core=("${on_core[@]::${#on_core[@]}-1}" "$control")

# --- roles: each captures vb until SIGINT ------------------------------------------------------------------------------
files=$scratch/files
large=131072
tap_bare() { run "$bare" capture vb; }
tap_tcpdump() { run tcpdump -i vb -n -p -B "$large" -w /dev/null; }
tap_tcpdump_default() { run tcpdump -i vb -n -p -w /dev/null; }
tap_dumpcap() { run dumpcap -q -i vb -p -B $((large / 1024)) -w /dev/null; }
tap_netsniff() { run netsniff-ng --in vb --out /dev/null --silent --ring-size 128MiB --no-promisc --no-sock-mem --notouch-irq; }
tap_testpmd() {
    # It pins its own threads: the main one, which only waits, on the sender's core.
    capture_core[-1]=$control,$core RUNTIME_DIRECTORY=$scratch
    export RUNTIME_DIRECTORY
    run "$testpmd" -l "$control,$core" --main-lcore "$core" --no-pci --no-huge --no-shconf --no-telemetry -m 512 \
        --vdev net_af_packet0,iface=vb,framecnt=65536 -- --forward-mode=rxonly --no-flush-rx --nb-cores=1 --total-num-mbufs=32768 \
        --stats-period 100
}
tap_count() { run "$wharf" sniff -i vb -p --count; }
tap_write() { run "$wharf" sniff -i vb -p -w "$files/all.pcap"; }
tap_write_ng() { run "$wharf" sniff -i vb -p -w "$files/all.pcapng"; }
tap_tcpdump_file() { run tcpdump -i vb -n -p -B "$large" -w "$files/all.pcap"; }
tap_split() { run "$wharf" split -i vb -p --to udp/53="$files/53.pcap" --rest "$files/rest.pcap"; }
# At the far end, on the core that looks on.
run() {
    exec setsid "${capture_core[@]}" nsenter --target "$far" --net \
        "$bare" cost "$scratch/tap.id" "$scratch/tap.cost" "$@" >"$scratch/tap.out" 2>&1
}
declare -A tap_name=(
    [bare]='bare TPACKET_V3 loop' [tcpdump]='tcpdump -B 131072 -w /dev/null' [tcpdump_default]='tcpdump -w /dev/null'
    [dumpcap]='dumpcap -B 128 -w /dev/null' [netsniff]='netsniff-ng --out /dev/null' [testpmd]='testpmd af_packet rxonly'
    [count]='sniff --count' [write]='sniff -w pcap' [write_ng]='sniff -w pcapng' [split]='split'
    [tcpdump_file]='tcpdump -B 131072 -w pcap'
)

# Packets that a role has captured: what it wrote, where it wrote any, and otherwise what it says.
captured() {
    case $1 in
        count) sed -n 's/.* = \([0-9]*\) delivered .*/\1/p' ;;
        bare) sed -n 's/^\([0-9]*\) packets, .*/\1/p' ;;
        tcpdump | tcpdump_default) sed -n 's/^\([0-9]*\) packets captured$/\1/p' ;;
        dumpcap) sed -n 's/.*Packets captured: \([0-9]*\)$/\1/p' ;;
        netsniff) sed -n 's/.* \([0-9][0-9]*\)  *packets passed filter.*/\1/p' ;;
        testpmd) sed -n 's/.*RX-packets: \([0-9]*\) .*/\1/p' | tail -1 ;;
        *) capinfos -Mrc -T "$files"/*.pcap* | awk -F'\t' '{ sum += $2 } END { print sum }' ;;
    esac <"$scratch/tap.out"
}

# One run of a role: adds packets sent, captured, and nanoseconds of CPU a packet to its files. What it took to
# start, which is mostly the ring's memory, is left out; ending counts.
capture_of() {
    local role=$1 index tap pid begun sent got
    rm -rf "$scratch/tap".* "${files:?}"/*
    index=$("${far_end[@]}" cat /sys/class/net/vb/ifindex 2>/dev/null || "${far_end[@]}" ip -o link show vb | cut -d: -f1)
    (tap_"$role") &
    tap=$!
    # Its socket is bound; a moment for its ring.
    until awk -v i="$index" '$5 == i { found = 1 } END { exit !found }' "/proc/$far/net/packet"; do
        kill -0 "$tap" 2>/dev/null || fail "${tap_name[$role]}: $(cat "$scratch/tap.out")"
        sleep 0.05
    done
    until [ "$role" != testpmd ] || grep -q 'RX queue number' "$scratch/tap.out"; do sleep 0.05; done
    sleep 0.4
    pid=$(cat "$scratch/tap.id")
    begun=$(cat "/proc/$pid/task"/*/schedstat | awk '{ sum += $1 } END { printf "%d", sum }')
    "${on_core[@]}" "$wharf" gen -i va --size 64 --protocol udp --port 53,9999 --rate "$pace" --duration "${seconds}s" \
        --json >"$scratch/json"
    # What is in its rings yet: tcpdump leaves a block with the kernel for a second.
    sleep 1.3
    kill -INT "$pid"
    for ((index = 0; index < 100; index++)); do
        kill -0 "$tap" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null && fail "${tap_name[$role]} does not end: $(cat "$scratch/tap.out")"
    wait "$tap" || true
    sent=$(sed -n 's/.*"packets":\([0-9]*\).*/\1/p' "$scratch/json" | head -1)
    got=$(captured "$role")
    [ "${got:-0}" -gt 0 ] || fail "${tap_name[$role]} captured nothing: $(cat "$scratch/tap.out")"
    [ "$got" -le "$sent" ] || fail "${tap_name[$role]} captured $got of $sent: something else sends, or one of them is wrong"
    # Where it says that it lost them.
    [ "$got" = "$sent" ] || echo "${tap_name[$role]} lost $((sent - got)): $(tail -n 3 "$scratch/tap.out" | tr '\r\n' '  ')"
    sed -n 's/.*"seconds":\([0-9.]*\).*/\1/p' "$scratch/json" | head -1 >>"$scratch/seconds.$role"
    echo "$sent" >>"$scratch/sent.$role"
    echo "$got" >>"$scratch/captured.$role"
    awk -v packets="$got" -v begun="$begun" '{ printf "%.1f\n", ($1 - begun) / packets }' "$scratch/tap.cost" >>"$scratch/cost.$role"
}

# What a run must last, and what must be offered while it does, for it to say anything: what is owed is a million a second for
# ten seconds, or as many as this machine's generator gives beside a capture.
least_seconds=9.9
least_offered=${LEAST_OFFERED:-500}
# Thousands of packets a second that were sent, the median of runs.
offered() { paste "$scratch/sent.$1" "$scratch/seconds.$1" | awk '{ printf "%.0f\n", $1 / $2 / 1000 }' | median; }

total() { awk '{ sum += $1 } END { print sum }' "$1"; }
# Rows of one of ours beside a peer; the last two are what is owed: CPU, at most so many times the peer's, and packets lost.
capture_rows() {
    local ours=$1 peer=$2 owed=$3 lost=$4 name=${tap_name[$1]} sent=() captured=()
    sent=("$(total "$scratch/sent.$ours")" "$(total "$scratch/sent.$peer")")
    captured=("$(total "$scratch/captured.$ours")" "$(total "$scratch/captured.$peer")")
    row "$name, seconds a run" "$(median <"$scratch/seconds.$ours")" "$(median <"$scratch/seconds.$peer")" "${tap_name[$peer]}" '' ">$least_seconds"
    row "$name, k packets/s offered" "$(offered "$ours")" "$(offered "$peer")" "${tap_name[$peer]}" '' ">$least_offered"
    row "$name, packets sent" "${sent[@]}" "${tap_name[$peer]}" '' ''
    row "$name, captured" "${captured[@]}" "${tap_name[$peer]}" '' ''
    row "$name, lost" $((sent[0] - captured[0])) $((sent[1] - captured[1])) "${tap_name[$peer]}" '' "$lost"
    row "$name, CPU ns a packet" "$(median <"$scratch/cost.$ours")" "$(median <"$scratch/cost.$peer")" "${tap_name[$peer]}" \
        "$(paste "$scratch/cost.$ours" "$scratch/cost.$peer" | awk '{ printf "%.3f\n", $1 / $2 }' | median)" "$owed"
}

part_capture() {
    local roles=(bare count tcpdump tcpdump_default write write_ng tcpdump_file split) role round
    if command -v dumpcap >/dev/null; then roles+=(dumpcap); else echo "SKIPPED: no dumpcap (Debian: wireshark-common)" >&2; fi
    if command -v netsniff-ng >/dev/null; then roles+=(netsniff); else echo "SKIPPED: no netsniff-ng" >&2; fi
    if command -v "$testpmd" >/dev/null; then roles+=(testpmd); else echo "SKIPPED: no testpmd (Debian: dpdk-dev)" >&2; fi
    mkdir "$files"
    mount -t tmpfs none "$files"
    # A virtual machine's memory costs more when it is touched for the first time.
    head -c $((pace * seconds * 128)) /dev/zero >"$files/touched"
    rm -f "$scratch"/{sent,captured,cost,seconds}.*
    for ((round = 0; round < rounds; round++)); do
        for role in "${roles[@]}"; do capture_of "$role"; done
    done
    umount "$files"
    for role in "${roles[@]}"; do
        echo "capture, ${tap_name[$role]}: sent $(tr '\n' ' ' <"$scratch/sent.$role")in ${seconds} s each," \
            "captured $(tr '\n' ' ' <"$scratch/captured.$role"), ns $(tr '\n' ' ' <"$scratch/cost.$role")"
    done
    for role in "${roles[@]}"; do
        case $role in
            count | write | write_ng | split | tcpdump_file) ;;
            bare) capture_rows count bare '<=1.7' '<1' ;;
            tcpdump) capture_rows count tcpdump '<=0.6' '<1' ;;
            *) capture_rows count "$role" '' '<1' ;;
        esac
    done
    for role in write write_ng; do capture_rows "$role" tcpdump_file '<=1' '<1'; done
    capture_rows split tcpdump_file '' '<1'
}
