#!/usr/bin/env bash
# Live roles side by side, over a veth pair between two network namespaces that this script makes.
#
#   perf/peers/live.sh [PART...]     send, live_frames, pace, capture; all without one
#
# Senders run on one core (CORE=n, by default the last one) under real-time priority where that is allowed; the script
# itself runs on another. ROUNDS (5) interleaved rounds, medians. SIZES chooses among 64, imix and 1514, ROLES among the
# senders (`ROLES="ours_few trafgen"`), WHARF another binary. What is captured is RATE (1000000) packets/s for TIME (10) s.
#
# A part that is run replaces its rows of perf/results/live.tsv. Exits 1 when an owed ratio does not hold. AF_XDP and live
# frames need root: eBPF is refused in user namespaces.
set -euo pipefail
fail() { echo "$*" >&2; exit 2; }

all_parts=(send live_frames pace capture)
parts=("${@:-${all_parts[@]}}")
for part in "${parts[@]}"; do
    [[ " ${all_parts[*]} " = *" $part "* ]] || fail "no part $part: ${all_parts[*]}"
done
rounds=${ROUNDS:-5}
read -ra sizes <<<"${SIZES:-64 imix 1514}"

# Build and check before entering the namespace, where there is no way out.
if [ -z "${IN_NAMESPACE:-}" ]; then
    cd "$(dirname "$0")/../.."
    for tool in ip nsenter unshare ethtool trafgen tcpreplay tcpdump capinfos taskset column; do
        command -v "$tool" >/dev/null ||
            fail "$tool is missing (Debian: iproute2 util-linux ethtool netsniff-ng tcpreplay tcpdump wireshark-common bsdextrautils)"
    done
    [ -n "${WHARF:-}" ] || cargo build --release --quiet
    (cd perf/peers/live && cargo build --release --quiet --locked)
    user=()
    [ "$(id -u)" = 0 ] || user=(--map-root-user)
    exec env IN_NAMESPACE=1 unshare --net --mount "${user[@]}" "perf/peers/$(basename "$0")" "${parts[@]}"
fi
wharf=${WHARF:-$PWD/target/release/wharf}
bare=$PWD/perf/peers/live/target/release/wharf-live-peers
testpmd=${TESTPMD:-dpdk-testpmd}
allowed=$(taskset -cp $$ | sed 's/.*: //')
core=${CORE:-${allowed##*[,-]}}
control=${allowed%%[,-]*}
[ "$control" != "$core" ] || fail "two cores are needed: a sender's, and one that looks on"
taskset -cp "$control" $$ >/dev/null
on_core=(taskset -c "$core")
chrt -r 1 true 2>/dev/null && on_core=(chrt -r 1 taskset -c "$core")
root=$(awk '{ print $3 == 4294967295 ? "yes" : "" }' /proc/self/uid_map)

# --- the laboratory: va here, vb at the far end ---------------------------------------------------------------------
scratch=$(mktemp -d)
sleep infinity &
holder=$!
unshare --net sleep infinity &
far=$!
trap 'kill $holder $far 2>/dev/null; umount --lazy "$scratch/files" 2>/dev/null || true; rm -rf "$scratch"' EXIT
far_end=(nsenter --target "$far" --net)
until [ "$(readlink /proc/$far/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
ip link add va type veth peer name vb netns "$far"
ip link set va addrgenmode none up
"${far_end[@]}" ip link set vb addrgenmode none up
until ip link show va | grep -q LOWER_UP; do sleep 0.05; done

# The kinds of size, as each tool wants them.
declare -A lengths=([64]=64 [imix]=60:7,590:4,1514:1 [1514]=1514)
for size in "${sizes[@]}"; do
    # The same frames for every sender that reads some.
    "$wharf" gen -w "$scratch/$size.pcap" --count 4096 --size "${lengths[$size]}" --protocol udp >/dev/null
    "$wharf" sniff -r "$scratch/$size.pcap" -c 240 -n -t -xx 2>/dev/null | awk '
        /^\t/ { for (i = 2; i <= NF; i++) { h = $i; while (h != "") { list = list "0x" substr(h, 1, 2) ","; h = substr(h, 3) } } next }
        list { print "{ " list " }"; list = "" }
        END { if (list) print "{ " list " }" }' >"$scratch/$size.cfg"
done

# --- roles: each sends frames of a size, flat out, until it is killed -------------------------------------------------
role_ours() { "$wharf" gen -i va --size "${lengths[$1]}" --protocol udp; }
# trafgen reads a file that its parser takes some time for, of fewer frames, which stay in nearer caches: it meets as few of ours.
few=240
role_ours_few() { "$wharf" gen -i va --size "${lengths[$1]}" --protocol udp --distinct "$few"; }
role_ours_xdp() { "$wharf" gen -i va --size "${lengths[$1]}" --protocol udp --xdp; }
role_sendmmsg() { "$bare" sendmmsg va 1000000000 "${lengths[$1]}"; }
role_txring() { "$bare" txring va 1000000000 "${lengths[$1]}"; }
role_xdp() { "$bare" xdp va 1000000000 "${lengths[$1]}"; }
role_trafgen() { trafgen --dev va --conf "$scratch/$1.cfg" --cpus 1 --num 0; }
role_tcpreplay() { tcpreplay --quiet --intf1 va --topspeed --preload-pcap --loop 1000000 "$scratch/$1.pcap"; }
role_testpmd() {
    [ "$1" != imix ] || return 0
    RUNTIME_DIRECTORY=$scratch "$testpmd" -l "$control,$core" --main-lcore "$control" --no-pci --no-huge --no-shconf \
        --no-telemetry -m 512 --vdev net_af_packet0,iface=va,qdisc_bypass=1 -- --forward-mode=txonly --txpkts="$1" \
        --nb-cores=1 --total-num-mbufs=32768 --stats-period 100
}
role_testpmd_xdp() {
    [ "$1" != imix ] || return 0
    RUNTIME_DIRECTORY=$scratch "$testpmd" -l "$control,$core" --main-lcore "$control" --no-pci --no-huge --no-shconf \
        --no-telemetry -m 512 --vdev net_af_xdp0,iface=va -- --forward-mode=txonly --txpkts="$1" \
        --nb-cores=1 --total-num-mbufs=32768 --stats-period 100
}
declare -A name=(
    [xdp]='bare AF_XDP loop' [testpmd_xdp]='testpmd af_xdp'
    [ours]='wharf gen' [ours_few]='wharf gen --distinct 240' [ours_xdp]='wharf gen --xdp' [sendmmsg]='bare sendmmsg loop' [txring]='bare TX ring loop'
    [trafgen]=trafgen [tcpreplay]='tcpreplay --topspeed' [testpmd]='testpmd af_packet'
)

# --- measuring ------------------------------------------------------------------------------------------------------
# Frames sent by va: a field of /proc/net/dev, read without starting a process.
sent() {
    local line
    while read -r line; do
        if [[ $line = va:* ]]; then
            read -ra line <<<"${line#va:}"
            echo "${line[9]}"
        fi
    done </proc/net/dev
}
# What a role gets onto the wire, k frames/s: over 0.6 s, some time after it has begun. 0 where it cannot.
rate_of() {
    local role=$1 size=$2 before after begun ended pinned=("${on_core[@]}")
    # It pins its own threads.
    if [[ $role = testpmd* ]]; then pinned=("${on_core[@]::${#on_core[@]}-1}" "$control,$core"); fi
    export -f "role_$role"
    export wharf bare scratch testpmd control core size role few
    local array="declare -A lengths=([64]=64 [imix]=60:7,590:4,1514:1 [1514]=1514)"
    setsid "${pinned[@]}" bash -c "$array; role_$role $size" >"$scratch/out" 2>&1 </dev/null &
    local sender=$!
    sleep "$([[ $role = testpmd* ]] && echo 2 || echo 0.4)"
    before=$(sent) begun=${EPOCHREALTIME/./}
    sleep 0.6
    after=$(sent) ended=${EPOCHREALTIME/./}
    kill -INT -- "-$sender" 2>/dev/null || true
    sleep 0.1
    kill -KILL -- "-$sender" 2>/dev/null || true
    wait "$sender" 2>/dev/null || true
    echo $(((after - before) * 1000 / (ended - begun)))
}
median() { sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }

# Rows: metric, ours, peer, peer_name, ratio, owed: a ratio at least, or at most with `<=`; a figure below or above with `<` or `>`.
rows=$scratch/rows
row() { printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$@" >>"$rows"; }
# Ours to a peer's, round by round, since what a machine gives drifts from one to the next: the median of that.
# Of ours, or of the role that stands for it.
ratio() { paste "$scratch/rate.${2:-ours}" "$scratch/rate.$1" | awk '$2 > 0 { printf "%.3f\n", $1 / $2 }' | median; }

# Whether testpmd has its driver for AF_XDP.
has_af_xdp() {
    local found=(/usr/lib/*/dpdk/pmds-*/librte_net_af_xdp.so /usr/local/lib/*/dpdk/pmds-*/librte_net_af_xdp.so)
    for found in "${found[@]}"; do [ ! -e "$found" ] || return 0; done
    return 1
}

part_send() {
    local roles=(ours sendmmsg txring ours_few trafgen tcpreplay) size round role
    if [ -n "$root" ]; then roles+=(ours_xdp xdp); else echo "SKIPPED: AF_XDP needs root" >&2; fi
    if command -v "$testpmd" >/dev/null; then
        roles+=(testpmd)
        if [ -n "$root" ] && has_af_xdp; then roles+=(testpmd_xdp); else echo "SKIPPED: no testpmd af_xdp (root, and Debian's librte-net-af-xdp23)" >&2; fi
    else
        echo "SKIPPED: no testpmd (Debian: dpdk-dev)" >&2
    fi
    # Only some, to see more rounds of them.
    [ -z "${ROLES:-}" ] || read -ra roles <<<"ours $ROLES"
    # Some are beside another of ours.
    [[ " ${roles[*]} " != *xdp* || " ${roles[*]} " = *" ours_xdp "* ]] || roles+=(ours_xdp)
    [[ " ${roles[*]} " != *" trafgen "* || " ${roles[*]} " = *" ours_few "* ]] || roles+=(ours_few)
    for size in "${sizes[@]}"; do
        rm -f "$scratch"/rate.*
        for ((round = 0; round < rounds; round++)); do
            for role in "${roles[@]}"; do rate_of "$role" "$size" >>"$scratch/rate.$role"; done
        done
        # The rounds, to see how far they differ.
        for role in "${roles[@]}"; do echo "send $size, ${name[$role]}: $(tr '\n' ' ' <"$scratch/rate.$role")"; done
        local own owed ours
        for role in "${roles[@]:1}"; do
            local peer
            case $role in trafgen) ours=ours_few ;; xdp | testpmd_xdp) ours=ours_xdp ;; *) ours=ours ;; esac
            own=$(median <"$scratch/rate.$ours")
            peer=$(median <"$scratch/rate.$role")
            [ "$peer" -gt 0 ] || continue
            # The bare loops do nothing but call the kernel: within what rounds differ by.
            case $role in sendmmsg | txring | xdp) owed=0.97 ;; ours_xdp | ours_few) owed= ;; *) owed=1 ;; esac
            local metric="send $size"
            [ "$ours" != ours_xdp ] || metric+=" by AF_XDP"
            row "$metric, k packets/s" "$own" "$peer" "${name[$role]}" "$(ratio "$role" "$ours")" "$owed"
        done
    done
}

# The kernel makes the frames; the far end takes them in a thread of its own on the other core, as far as it can.
part_live_frames() {
    [ -n "$root" ] || { echo "SKIPPED: live frames need root" >&2; return; }
    "${far_end[@]}" ethtool -K vb gro on
    "${far_end[@]}" unshare --mount sh -c 'mount -t sysfs none /sys && echo 1 >/sys/class/net/vb/threaded'
    local napi size round
    napi=$(pgrep -f '^\[?napi/vb' | head -1)
    taskset -cp "$control" "$napi" >/dev/null
    chrt -r -p 1 "$napi" 2>/dev/null || true
    for size in "${sizes[@]}"; do
        rm -f "$scratch/made" "$scratch/sent"
        for ((round = 0; round < rounds; round++)); do
            "${on_core[@]}" "$wharf" gen -i va --live-frames --size "${lengths[$size]}" --duration 1s --json >"$scratch/json"
            awk 'match($0, /"dropped by the interface":[0-9]+/) { dropped = substr($0, RSTART + 27, RLENGTH - 27) }
                match($0, /"packets":[0-9]+/) { packets = substr($0, RSTART + 10, RLENGTH - 10) }
                match($0, /"seconds":[0-9.]+/) { seconds = substr($0, RSTART + 10, RLENGTH - 10) }
                END { printf "%d %d\n", (packets + dropped) / seconds / 1000, packets / seconds / 1000 }' "$scratch/json" >"$scratch/two"
            cut -d' ' -f1 "$scratch/two" >>"$scratch/made"
            cut -d' ' -f2 "$scratch/two" >>"$scratch/sent"
        done
        row "live frames $size, k packets/s made" "$(median <"$scratch/made")" '' '' '' '>1000'
        row "live frames $size, k packets/s arrived" "$(median <"$scratch/sent")" '' '' '' ''
    done
    "${far_end[@]}" ethtool -K vb gro off
}

# How far a sender is from the rate asked for, in percent, by the far end's time stamps.
pace_of() {
    local tool=$1 rate=$2 capture
    rm -f "$scratch/listening" "$scratch/pace.pcap"
    "${far_end[@]}" taskset -c "$control" tcpdump -i vb -Q in -n -p -s 64 -B 262144 -w "$scratch/pace.pcap" 2>"$scratch/listening" &
    capture=$!
    until grep -qs listening "$scratch/listening"; do sleep 0.05; done
    case $tool in
        ours) "${on_core[@]}" "$wharf" gen -i va --size 64 --rate "$rate" --count $((rate * 2)) >/dev/null ;;
        trafgen) "${on_core[@]}" trafgen --dev va --conf "$scratch/64.cfg" --cpus 1 --num $((rate * 2)) --rate "${rate}pps" >/dev/null 2>&1 ;;
        tcpreplay) "${on_core[@]}" tcpreplay --quiet --intf1 va --pps "$rate" --preload-pcap --limit $((rate * 2)) --loop 1000000 "$scratch/64.pcap" >/dev/null 2>&1 ;;
    esac || true
    sleep 0.5
    pkill -INT -P $$ -x tcpdump || true
    wait "$capture" 2>/dev/null || true
    capinfos -MTrcu "$scratch/pace.pcap" 2>/dev/null | awk -v rate="$rate" \
        '{ error = (($(NF - 1) - 1) / $NF / rate - 1) * 100; printf "%.3f\n", error < 0 ? -error : error }'
}
part_pace() {
    local rate tool round
    [[ " ${sizes[*]} " = *" 64 "* ]] || fail "pace is measured at size 64"
    for rate in 10000 100000 500000; do
        rm -f "$scratch"/pace.*
        for ((round = 0; round < rounds; round++)); do
            for tool in ours trafgen tcpreplay; do pace_of $tool $rate >>"$scratch/pace.$tool"; done
        done
        for tool in trafgen tcpreplay; do
            row "off $rate packets/s, percent" "$(median <"$scratch/pace.ours")" "$(median <"$scratch/pace.$tool")" "$tool" '' '<1'
        done
    done
}

. perf/peers/live/capture.sh

# --- the table ------------------------------------------------------------------------------------------------------
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ //'), $(nproc --all) cores, Linux $(uname -r)"
echo "versions: $("$wharf" --version); $(trafgen --version 2>/dev/null | head -1); tcpreplay $(tcpreplay --version 2>&1 | sed -n 's/.*version: \([^ ]*\).*/\1/p' | head -1); DPDK $(pkg-config --modversion libdpdk 2>/dev/null || echo '?')"
results=${RESULTS:-perf/results}/live.tsv
mkdir -p "${results%/*}"
head='metric\tours\tpeer\tpeer_name\tratio\towed'
: >"$rows"
for part in "${parts[@]}"; do "part_$part"; done
{
    # Rows of parts that were not run stay.
    printf '%b\n' "$head"
    if [ -f "$results" ]; then
        tail -n +2 "$results" | awk -F'\t' 'NR == FNR { new[$1 FS $4] = 1; next } !(($1 FS $4) in new)' "$rows" -
    fi
    cat "$rows"
} >"$scratch/results"
cp "$scratch/results" "$results"
column -t -s $'\t' "$results" 2>/dev/null || cat "$results"
awk -F'\t' '$6 != "" {
        limit = $6; gsub(/[<>=]/, "", limit); limit += 0
        held = $6 ~ /<=/ ? $5 <= limit : $6 ~ /</ ? $2 < limit : $6 ~ />/ ? $2 > limit : $5 >= limit
        if (!held) { print "not held: " $1 ", " $4; bad = 1 }
    } END { exit bad }' "$rows"
