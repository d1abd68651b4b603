#!/bin/sh
# Compares a cluster of three tinykv-server with three members of etcd: the same machine, disk and
# load, 256-byte values, every write durable on a majority. Runs are taken in turns, so that what
# disturbs one disturbs the other; the servers that are not asked stand still. Prints the medians.
#
#   kv/server/bench/etcd.sh              # needs: apt install etcd-server etcd-client
#   RUNS=5 SECONDS_EACH=5 CLIENTS="1 64 256" DIR=/data kv/server/bench/etcd.sh
#
# etcd's clients ask its leader, as tinykv's do. A ratio above 1.00: tinykv is ahead.
set -eu

RUNS=${RUNS:-3} SECONDS_EACH=${SECONDS_EACH:-5} CLIENTS=${CLIENTS:-1 64 256} READ_CLIENTS=${READ_CLIENTS:-64}
BIN=${BIN:-target/release} LOAD=${LOAD:-target/cluster-bench/release/tinykv-cluster-bench}

for program in etcd etcdctl; do
    command -v $program >/dev/null || { echo "install etcd: apt install etcd-server etcd-client" >&2; exit 1; }
done
for file in "$BIN/tinykv" "$BIN/tinykv-server" "$LOAD"; do
    [ -x "$file" ] || { echo "build it first: make bench-cluster" >&2; exit 1; }
done

work=$(mktemp -d "${DIR:-${TMPDIR:-/tmp}}/tinykv-cluster.XXXXXX")
etcd_pids='' tinykv_pid=''
stop() {
    for pid in $etcd_pids $tinykv_pid; do kill -CONT "$pid" 2>/dev/null || true; kill "$pid" 2>/dev/null || true; done
    for pid in $etcd_pids $tinykv_pid; do wait "$pid" 2>/dev/null || true; done
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# Ours: the launcher says where, in its last line.
"$BIN/tinykv" cluster start --nodes 3 --path "$work/tinykv" -- --log-level warn >"$work/ready" &
tinykv_pid=$!
until grep -q '^ready' "$work/ready"; do kill -0 $tinykv_pid; done
ours=$(sed -n 's/^ready native=\([^ ]*\) .*/\1/p' "$work/ready")
tinykv_pids=$(awk '$1 ~ /^[0-9]+$/ && $3 ~ /:/ { print $2 }' "$work/ready")

# etcd, on ports that the system gives to nobody else for now.
base=$((21000 + $$ % 20000))
cluster=''
for n in 1 2 3; do cluster="$cluster,m$n=http://127.0.0.1:$((base + 10 * n))"; done
for n in 1 2 3; do
    etcd --name m$n --data-dir "$work/etcd-$n" --log-level error --logger zap \
        --listen-peer-urls "http://127.0.0.1:$((base + 10 * n))" \
        --initial-advertise-peer-urls "http://127.0.0.1:$((base + 10 * n))" \
        --listen-client-urls "http://127.0.0.1:$((base + 10 * n + 1))" \
        --advertise-client-urls "http://127.0.0.1:$((base + 10 * n + 1))" \
        --initial-cluster "${cluster#,}" --initial-cluster-state new \
        --quota-backend-bytes 8589934592 >"$work/etcd-$n.log" 2>&1 &
    etcd_pids="$etcd_pids $!"
done
export ETCDCTL_API=3
all="127.0.0.1:$((base + 11)),127.0.0.1:$((base + 21)),127.0.0.1:$((base + 31))"
until etcdctl --endpoints "$all" put ready yes >/dev/null 2>&1; do
    for pid in $etcd_pids; do kill -0 "$pid"; done
done
theirs=$(etcdctl --endpoints "$all" endpoint status | awk -F', ' '$5 == "true" { print $1 }')
[ -n "$theirs" ] || { echo "etcd names no leader" >&2; exit 1; }

each() { signal=$1; shift; for pid in "$@"; do kill "-$signal" "$pid"; done; }

# measure TARGET OP CLIENTS: a line of the load generator. The others sleep meanwhile; they are
# given time to find their leader again by the warm-up.
measure() {
    # shellcheck disable=SC2086
    case $1 in
        tinykv) each STOP $etcd_pids; each CONT $tinykv_pids; address=$ours ;;
        etcd) each STOP $tinykv_pids; each CONT $etcd_pids; address=$theirs ;;
    esac
    # shellcheck disable=SC2086
    if [ "$1" = etcd ]; then
        until theirs=$(etcdctl --endpoints "$all" endpoint status 2>/dev/null | awk -F', ' '$5 == "true" { print $1 }') && [ -n "$theirs" ]; do :; done
        address=$theirs
    fi
    "$LOAD" --target "$1" --addr "$address" --op "$2" --clients "$3" --seconds "$SECONDS_EACH" --warm-up 3
    # shellcheck disable=SC2086
    each CONT $etcd_pids $tinykv_pids
}

median() { sort -n | awk '{ a[NR] = $1 } END { m = (NR + 1) / 2; print (a[int(m)] + a[int(m + 0.5)]) / 2 }'; }
column() { cut -d' ' -f"$2" "$1" | median; }

printf '%-4s %8s | %9s %9s %7s | %9s %9s | %9s %9s | %s\n' \
    op clients tinykv/s etcd/s ratio 't p50us' 't p99us' 'e p50us' 'e p99us' errors
row() {
    : >"$work/ours"; : >"$work/theirs"
    run=0
    while [ $run -lt "$RUNS" ]; do
        # Who goes first alternates.
        if [ $((run % 2)) = 0 ]; then
            measure tinykv "$1" "$2" >>"$work/ours"; measure etcd "$1" "$2" >>"$work/theirs"
        else
            measure etcd "$1" "$2" >>"$work/theirs"; measure tinykv "$1" "$2" >>"$work/ours"
        fi
        run=$((run + 1))
    done
    rate=$(column "$work/ours" 4) other=$(column "$work/theirs" 4)
    printf '%-4s %8s | %9.0f %9.0f %7.2f | %9.0f %9.0f | %9.0f %9.0f | %s\n' "$1" "$2" "$rate" "$other" \
        "$(echo "$rate $other" | awk '{ print ($2 > 0) ? $1 / $2 : 0 }')" \
        "$(column "$work/ours" 5)" "$(column "$work/ours" 6)" "$(column "$work/theirs" 5)" "$(column "$work/theirs" 6)" \
        "$(cat "$work/ours" "$work/theirs" | awk '{ sum += $7 } END { print sum }')"
}
for clients in $CLIENTS; do row put "$clients"; done
for clients in $READ_CLIENTS; do row get "$clients"; done
