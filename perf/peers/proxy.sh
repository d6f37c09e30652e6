#!/usr/bin/env bash
# Proxies side by side on loopback: wharf proxy, nginx stream, HAProxy with splice, rinetd, socat, sslh, Sōzu, and none.
#
#   perf/peers/proxy.sh
#
# One thread each. Clients, proxy and server share the CPUs this may use; as root they go before all else, in a network namespace
# of their own, with CONGESTION (reno; "host": as the host has it, and on its loopback). A host that paces its streams (bbr)
# holds one to some 14 Gb/s on loopback, whatever stands between. Peers come from the distribution (Debian: nginx
# libnginx-mod-stream haproxy rinetd socat sslh), which is asked for them where they are missing and this runs as root; Sōzu from
# crates.io (cargo install sozu --features splice, with protobuf-compiler) where it is in the path. What is missing is left out. In the environment:
# ROUNDS (5), TIME (seconds a run, 2), METRICS (all; moveN: eight streams, a connection for each N KiB), PEERS (all), IDLE (20000, or
# as many as descriptors allow: of all peers; idle_full has 20,000 of ours, over as many processes as they take), FIGURES (a file: what is in it counts too, and what is measured is added, for a run in parts). The load program's own checks fail a
# run that loses or mixes up bytes. Rounds are interleaved, figures are medians; ratios are to the best peer. The rows of the
# metrics that were run replace those in perf/results/proxy.tsv, the others stay; exits 1 when an owed ratio does not hold.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${ROUNDS:-5} seconds=${TIME:-2}
metrics=${METRICS:-bulk1 bulk8 sums connect start ports ask50 ask1000 udp idle idle_full}
peers=${PEERS:-none wharf nginx haproxy rinetd socat sslh sozu}
wharf=${WHARF:-target/release/wharf}
load=${CARGO_TARGET_DIR:-perf/peers/proxy/target}/release/proxy-load
congestion=${CONGESTION:-reno}
if [ -z "${IN_NAMESPACE:-}" ]; then
    if [ "$(id -u)" = 0 ] && ! command -v haproxy nginx rinetd socat sslh >/dev/null; then
        apt-get install -y --no-install-recommends nginx libnginx-mod-stream haproxy rinetd socat sslh >/dev/null
    fi
    [ -n "${WHARF:-}" ] || cargo build --release --quiet
    cargo build --release --quiet --locked --manifest-path perf/peers/proxy/Cargo.toml
    if [ "$congestion" != host ] && [ "$(id -u)" = 0 ] && unshare --net true 2>/dev/null; then
        # shellcheck disable=SC2016
        IN_NAMESPACE=1 exec unshare --net bash -c 'ip link set lo up && sysctl -qw net.ipv4.tcp_congestion_control="$0" && exec "$@"' \
            "$congestion" perf/peers/proxy.sh
    fi
fi
scratch=$(mktemp -d)
chmod 755 "$scratch"
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT
# Two for each connection through a proxy.
ulimit -n 100000 2>/dev/null || ulimit -n "$(ulimit -Hn)"
# (HAProxy reckons with pipes beside them.)
most=$((($(ulimit -n) - 200) / 4))
idle=${IDLE:-$((most < 20000 ? most : 20000))}
# Of ours alone, over as many processes as have descriptors for them, two each: root may not raise every limit.
full=20000
each=$((($(ulimit -n) - 600) / 2))
crowds=$(((full + each - 1) / each))
# Before all else that runs here, where that is allowed; what is started inherits it.
chrt -r -p 1 $$ 2>/dev/null || true

# Where each listens: that port echoes, the next discards, the next answers once, the next exchanges a GiB.
declare -A port=([none]=7100 [wharf]=7200 [nginx]=7300 [haproxy]=7400 [rinetd]=7500 [socat]=7600 [sslh]=7700 [sozu]=7800)
run() { # NAME COMMAND...
    local name=$1
    shift
    "$@" >"$scratch/$name.log" 2>&1 &
    started+=($!)
    pids[$name]+=" $!"
}
declare -A pids
at() { echo "127.0.0.1:$((port[$1] + $2))"; }
run none "$load" serve "${port[none]}"
ways="0 1 2 3"
start_wharf() {
    local listen=()
    for way in $ways; do listen+=(--listen "127.0.0.1:tcp/$((port[wharf] + way))=$(at none "$way")"); done
    run wharf "$wharf" proxy "${listen[@]}" --listen "127.0.0.1:udp/${port[wharf]}=$(at none 0)" --cores "$1"
    # 10,000 ports: one socket for all where that is allowed, and one each.
    run ports "$wharf" proxy --listen "127.0.0.1:tcp/10000-19999=$(at none 2)" --cores "$1"
    run ports_each "$wharf" proxy --listen "127.0.0.1:tcp/20000-29999=$(at none 2)" --cores "$1" --socket-per-port
}
start_nginx() {
    {
        echo "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
        echo "daemon off; worker_processes 1; pid $scratch/nginx.pid; error_log /dev/null;"
        echo "worker_rlimit_nofile $(ulimit -n); events { worker_connections 60000; multi_accept on; } stream { access_log off;"
        for way in $ways; do echo "server { listen $(at nginx "$way") backlog=4096; proxy_pass $(at none "$way"); }"; done
        echo "server { listen $(at nginx 0) udp reuseport; proxy_pass $(at none 0); proxy_timeout 20s; } }"
    } >"$scratch/nginx.conf"
    run nginx nginx -c "$scratch/nginx.conf" -p "$scratch"
}
start_haproxy() {
    {
        echo "global"
        echo "    nbthread 1"
        echo "    maxconn $most"
        echo "defaults"
        echo "    mode tcp"
        echo "    timeout connect 5s"
        echo "    timeout client 60s"
        echo "    timeout server 60s"
        echo "    option splice-auto"
        for way in $ways; do
            echo "listen way$way"
            echo "    bind $(at haproxy "$way") backlog 4096"
            echo "    server one $(at none "$way")"
        done
    } >"$scratch/haproxy.cfg"
    run haproxy haproxy -db -f "$scratch/haproxy.cfg"
}
start_rinetd() {
    for way in $ways; do echo "127.0.0.1 $((port[rinetd] + way)) 127.0.0.1 $((port[none] + way))"; done >"$scratch/rinetd.conf"
    run rinetd rinetd -f -c "$scratch/rinetd.conf"
}
start_socat() {
    for way in $ways; do
        run socat socat "TCP-LISTEN:$((port[socat] + way)),bind=127.0.0.1,reuseaddr,fork,backlog=1024,nodelay" "TCP:$(at none "$way"),nodelay"
    done
}
start_sslh() {
    for way in $ways; do
        run sslh "$(command -v sslh-select || command -v sslh)" -f -u "$(id -un)" -p "$(at sslh "$way")" --anyprot "$(at none "$way")" -P "$scratch/sslh$way.pid"
    done
}
start_sozu() {
    {
        echo "command_socket = '$scratch/sozu.sock'"
        echo "worker_count = 1"
        echo "worker_automatic_restart = false"
        echo "max_connections = $idle"
        # Two of each connection; by itself it has a thousand.
        echo "max_buffers = $((2 * idle + 100))"
        echo "log_level = 'error'"
        for way in $ways; do printf '[[listeners]]\nprotocol = "tcp"\naddress = "%s"\n' "$(at sozu "$way")"; done
        for way in $ways; do
            printf '[clusters.way%s]\nprotocol = "tcp"\nfrontends = [{ address = "%s" }]\nbackends = [{ address = "%s" }]\n' \
                "$way" "$(at sozu "$way")" "$(at none "$way")"
        done
    } >"$scratch/sozu.toml"
    run sozu sozu start -c "$scratch/sozu.toml"
    # By itself: a port is one transport's in its configuration. A cluster of TCP at a listener of UDP is one of UDP.
    {
        echo "command_socket = '$scratch/sozu_udp.sock'"
        echo "worker_count = 1"
        echo "worker_automatic_restart = false"
        echo "log_level = 'error'"
        printf '[[listeners]]\nprotocol = "udp"\naddress = "%s"\n' "$(at sozu 0)"
        printf '[clusters.echo]\nprotocol = "tcp"\nfrontends = [{ address = "%s" }]\nbackends = [{ address = "%s" }]\n' \
            "$(at sozu 0)" "$(at none 0)"
    } >"$scratch/sozu_udp.toml"
    run sozu sozu start -c "$scratch/sozu_udp.toml"
}
core=$(taskset -cp $$ | sed 's/.*[ ,-]//')
there=()
for peer in $peers; do
    case $peer in
        none) ;;
        wharf) start_wharf "$core" ;;
        sslh) command -v sslh >/dev/null || command -v sslh-select >/dev/null || continue; start_sslh ;;
        *) command -v "$peer" >/dev/null || continue; "start_$peer" ;;
    esac
    there+=("$peer")
done
sleep 1
# Pinned for want of another way to have one worker: it may go where the others may.
for pid in ${pids[wharf]:-} ${pids[ports]:-} ${pids[ports_each]:-}; do taskset -acp "$(taskset -cp $$ | sed 's/.*: //')" "$pid" >/dev/null; done

# Everybody's processes, with those they have started.
family() {
    for pid in ${pids[$1]}; do
        echo "$pid"
        cat /proc/"$pid"/task/*/children 2>/dev/null | tr ' ' '\n'
    done
}
cpu() { # nanoseconds
    for pid in $(family "$1"); do cat /proc/"$pid"/task/*/schedstat 2>/dev/null || true; done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}
memory() { # bytes
    for pid in $(family "$1"); do grep -h '^RssAnon' /proc/"$pid"/status 2>/dev/null || true; done | awk '{ sum += $2 } END { print sum * 1024 }'
}
can() { # METRIC PEER
    case $1/$2 in
        udp/haproxy | udp/rinetd | udp/socat | udp/sslh | idle/none | idle/socat | idle/sslh | idle/rinetd) return 1 ;;
        # A process a connection: a thousand of them, or one started for each, measure fork(2).
        ask1000/socat | connect/socat) return 1 ;;
        # sslh-select has no more than 1,024 descriptors (select(2)), and with 50 clients at a time that come and go it closes
        # some before the answer.
        ask1000/sslh | connect/sslh) return 1 ;;
        ports/wharf | start/wharf | idle_full/wharf | sums/wharf | sums/none) ;;
        ports/* | start/* | idle_full/* | sums/*) return 1 ;;
    esac
}
measure() { # METRIC PEER: figure, CPU a unit (or -), p99 (or -)
    local out before after
    before=$(cpu "$2")
    case $1 in
        bulk*) out=$("$load" bulk "$(at "$2" 1)" "${1#bulk}" "$seconds") ;;
        move*) out=$("$load" transfers "$(at "$2" 1)" 8 "${1#move}" "$seconds") ;;
        sums) out=$("$load" sums "$(at "$2" 3)") ;;
        connect) out=$("$load" connect "$(at "$2" 2)" 50 "$seconds") ;;
        ask*) out=$("$load" ask "$(at "$2" 0)" "${1#ask}" "$seconds") ;;
        udp) out=$("$load" datagrams "$(at "$2" 0)" 50 "$seconds") ;;
        idle)
            before=$(memory "$2")
            mkfifo "$scratch/hold"
            timeout 60 "$load" idle "$(at "$2" 0)" "$idle" <"$scratch/hold" >"$scratch/held" &
            local holder=$!
            exec 9>"$scratch/hold"
            until grep -qs ready "$scratch/held" || ! kill -0 "$holder" 2>/dev/null; do sleep 0.1; done
            grep -q ready "$scratch/held" && after=$(memory "$2")
            exec 9>&-
            wait "$holder" || true
            rm "$scratch/hold"
            [ -n "${after:-}" ] || return 1
            awk -v a="$before" -v b="$after" -v n="$idle" 'BEGIN { printf "%.0f\t-\t-\n", (b - a) / n }'
            return
            ;;
    esac
    after=$(cpu "$2")
    # Seconds of CPU for a GB, for 10,000 connections or requests, for a million datagrams each way.
    # What socat's children took is gone with them.
    awk -v out="$out" -v ns="$((after - before))" -v s="$seconds" -v metric="$1" -v peer="$2" 'BEGIN {
        split(out, part, "\t")
        units = part[1] * s
        if (metric == "sums") units = 2 * 1.073741824
        else if (metric ~ /^(bulk|move)/) units = units / 8
        else if (metric == "udp") units = units * 2 / 1e6
        else units = units / 1e4
        printf "%s\t%s\t%s\n", part[1], peer == "socat" ? "-" : sprintf("%.4f", ns / 1e9 / units), part[3] == "" ? "-" : part[3]
    }'
}
# Connections to one port where there is no other, to one of 10,000 that share a socket or have one each, and to each of them in
# turn (which costs clients more too).
measure_ports() {
    local peer out before after
    for peer in wharf ports ports_each ports_turn ports_each_turn; do
        before=$(cpu "${peer%_turn}")
        case $peer in
            wharf) out=$("$load" connect "$(at wharf 2)" 50 "$seconds") ;;
            ports) out=$("$load" connect 127.0.0.1:15000 50 "$seconds") ;;
            ports_each) out=$("$load" connect 127.0.0.1:25000 50 "$seconds") ;;
            ports_turn) out=$("$load" spread 127.0.0.1:10000 10000 50 "$seconds") ;;
            ports_each_turn) out=$("$load" spread 127.0.0.1:20000 10000 50 "$seconds") ;;
        esac
        after=$(cpu "${peer%_turn}")
        awk -v out="$out" -v ns="$((after - before))" -v s="$seconds" -v peer="$peer" 'BEGIN {
            split(out, part, "\t")
            printf "ports\t%s\t%s\t%.4f\t%s\n", peer, part[1], ns / 1e9 / (part[1] * s / 1e4), part[3]
        }' >>"$figures"
    done
}
# Seconds from the command to the word that all of 10,000 ports listen, at an address where nobody else does.
measure_start() {
    local peer more began log=$scratch/start.log
    for peer in ports ports_each; do
        more=()
        [ "$peer" = ports ] || more=(--socket-per-port)
        # Of the one before; what is started opens it only after it is looked at.
        : >"$log"
        began=$(date +%s%N)
        "$wharf" proxy --listen "127.7.7.7:tcp/20000-29999=$(at none 2)" --cores "$core" "${more[@]}" 2>"$log" &
        until grep -q "at work" "$log"; do
            kill -0 $! 2>/dev/null || { echo "wharf failed to start" >&2; return 1; }
            sleep 0.005
        done
        awk -v ns="$(($(date +%s%N) - began))" -v peer="$peer" 'BEGIN { printf "start\t%s\t%.3f\t-\t-\n", peer, ns / 1e9 }' >>"$figures"
        kill $!
        wait $! 2>/dev/null || true
    done
}
# Memory for each of many idle connections, over and above what the processes had before, and with that. Each process has a server
# and clients of its own.
measure_idle() {
    local crowd port share before after holders=()
    share=$(((full + crowds - 1) / crowds))
    for crowd in $(seq "$crowds"); do
        port=$((7900 + 10 * crowd))
        run crowd_server "$load" serve "$port"
        run crowd "$wharf" proxy --listen "127.0.0.1:tcp/$((port + 5))=127.0.0.1:$port" --cores "$core"
    done
    sleep 1
    before=$(memory crowd)
    mkfifo "$scratch/crowd"
    for crowd in $(seq "$crowds"); do
        timeout 60 "$load" idle "127.0.0.1:$((7905 + 10 * crowd))" "$share" <"$scratch/crowd" >"$scratch/held$crowd" &
        holders+=($!)
    done
    exec 9>"$scratch/crowd"
    for crowd in $(seq "$crowds"); do
        until grep -qs ready "$scratch/held$crowd"; do
            kill -0 "${holders[crowd - 1]}" 2>/dev/null || { echo "not $share connections" >&2; return 1; }
            sleep 0.1
        done
    done
    after=$(memory crowd)
    exec 9>&-
    wait "${holders[@]}" || true
    awk -v a="$before" -v b="$after" -v n="$((share * crowds))" \
        'BEGIN { printf "idle_full\twharf\t%.0f\t%.0f\t%d\n", (b - a) / n, b / n, n }' >>"$figures"
}
figures=${FIGURES:-$scratch/figures}
for metric in $metrics; do
    for round in $(seq "$rounds"); do
        [[ $metric != @(idle|idle_full|sums) ]] || [ "$round" = 1 ] || continue
        for peer in "${there[@]}"; do
            can "$metric" "$peer" || continue
            [ "$metric" != ports ] || { measure_ports; continue; }
            [ "$metric" != start ] || { measure_start; continue; }
            [ "$metric" != idle_full ] || { measure_idle; continue; }
            measured=$(measure "$metric" "$peer") || { echo "$peer failed at $metric" >&2; continue; }
            printf '%s\t%s\t%s\n' "$metric" "$peer" "$measured" >>"$figures"
        done
    done
done

echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | sed 's/^ //'), $(nproc) cores, Linux $(uname -r), load $(cut -d' ' -f1 /proc/loadavg), $(sysctl -n net.ipv4.tcp_congestion_control)"
echo "versions: $("$wharf" --version); $(nginx -v 2>&1); $(haproxy -v 2>/dev/null | head -1); $(rinetd -v 2>&1 | head -1); $(socat -V 2>/dev/null | sed -n 2p); $(sslh -V 2>&1 | head -1); $(sozu --version 2>/dev/null | head -1)"
mkdir -p "${RESULTS:-perf/results}"
awk -F '\t' -v OFS='\t' -v crowds="$crowds" '
    function median(list,   n, i, j, t, v) {
        n = split(list, v, " ")
        for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return v[int((n + 1) / 2)]
    }
    { all[$1, $2, 1] = all[$1, $2, 1] " " $3; all[$1, $2, 2] = all[$1, $2, 2] " " $4; all[$1, $2, 3] = all[$1, $2, 3] " " $5
      if (!($1 in seen)) { seen[$1]; order[++metrics] = $1 } names[$2] }
    function row(metric, ours, peer, name, owed, less,   ratio, kept) {
        ratio = peer > 0 ? ours / peer : 0
        kept = owed == "" || (less ? ratio <= owed : ratio >= owed)
        print metric, ours, peer, name, sprintf("%.3f", ratio), owed == "" ? "" : (less ? "<= " : ">= ") owed (kept ? "" : " missed")
        if (!kept) failed = 1
    }
    # A proxy with many ports beside one with one.
    function many(what, which, owed) {
        row(what ", connections/s", median(all["ports", which, 1]), one, "one port", owed ? 0.95 : "", 0)
        row(what ", CPU s for 10,000", median(all["ports", which, 2]), cpu, "one port", owed ? 1.05 : "", 1)
    }
    # Beside each peer, and against the best one what is owed.
    function rows(metric, what, column, owed, less,   peer, best, value, ours) {
        ours = median(all[metric, "wharf", column])
        for (peer in names) {
            if (peer ~ /^(wharf$|ports)/ || !((metric, peer, column) in all)) continue
            value = median(all[metric, peer, column])
            if (value == "-" || value + 0 == 0) continue
            if (peer != "none" && (best == "" || (less ? value + 0 < median(all[metric, best, column]) + 0 : value + 0 > median(all[metric, best, column]) + 0))) best = peer
            if (peer == "none" && column == 2) continue
            row(metric ", " what, ours, value, peer, "", less)
        }
        if (best != "") row(metric ", " what ", best", ours, median(all[metric, best, column]), best, owed, less)
    }
    END {
        for (i = 1; i <= metrics; i++) {
            metric = order[i]
            if (metric ~ /^move/) { rows(metric, "KiB, Gb/s", 1, "", 0); rows(metric, "KiB, CPU s a GB", 2, "", 1) }
            else if (metric == "sums") rows(metric, "Gb/s of 1 GiB each way", 1, "", 0)
            else if (metric == "start") {
                row("10,000 ports on one socket, s to start", median(all[metric, "ports", 1]), 2, "owed", 1, 1)
                row("10,000 ports with a socket each, s to start", median(all[metric, "ports_each", 1]), 2, "owed", 1, 1)
            }
            else if (metric == "ports") {
                one = median(all[metric, "wharf", 1]); cpu = median(all[metric, "wharf", 2])
                many("10,000 ports on one socket", "ports", 1)
                many("10,000 ports with a socket each", "ports_each", 1)
                many("each of 10,000 ports in turn", "ports_turn", 0)
                many("each of 10,000 ports in turn, a socket each", "ports_each_turn", 0)
            }
            else if (metric ~ /^bulk/) { rows(metric, "Gb/s", 1, 1.15, 0); rows(metric, "CPU s a GB", 2, 0.9, 1) }
            else if (metric == "connect") { rows(metric, "/s", 1, 1.05, 0); rows(metric, "CPU s for 10,000", 2, 0.9, 1); rows(metric, "p99 us", 3, 1, 1) }
            else if (metric ~ /^ask/) { rows(metric, "/s", 1, metric == "ask50" ? 1.05 : "", 0); rows(metric, "CPU s for 10,000", 2, "", 1); rows(metric, "p99 us", 3, metric == "ask50" ? 1 : "", 1) }
            else if (metric == "udp") { rows(metric, "answers/s", 1, 1.3, 0); rows(metric, "CPU us a datagram", 2, 0.6, 1) }
            else if (metric == "idle_full") {
                many_idle = "idle, " median(all[metric, "wharf", 3]) + 0 " connections in " crowds " processes, bytes each"
                row(many_idle, median(all[metric, "wharf", 1]), 4096, "owed", 1, 1)
                row(many_idle ", with what the processes have anyway", median(all[metric, "wharf", 2]), 4096, "owed", 1, 1)
            }
            else { rows(metric, "bytes a connection", 1, "", 1); row("idle, bytes a connection, most", median(all[metric, "wharf", 1]), 4096, "owed", 1, 1) }
        }
        exit failed
    }' "$figures" >"$scratch/rows" && failed=0 || failed=1
results=${RESULTS:-perf/results}/proxy.tsv
{
    printf 'metric\tours\tpeer\tpeer_name\tratio\towed\n'
    if [ -f "$results" ] && [ -s "$scratch/rows" ]; then
        tail -n +2 "$results" | awk -F '\t' 'NR == FNR { new[$1]; next } !($1 in new)' "$scratch/rows" -
    fi
    cat "$scratch/rows"
} >"$scratch/results"
cp "$scratch/results" "$results"
column -t -s $'\t' "$scratch/rows"
exit "$failed"
