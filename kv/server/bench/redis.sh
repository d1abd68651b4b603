#!/bin/sh
# Compares tinykv-server with redis-server under redis-benchmark: both at once on one machine, same
# durability, runs taken in turns, so that what disturbs one disturbs the other. Prints requests a
# second, the CPU time that the server took for each, and the medians' ratios.
#
#   kv/server/bench/redis.sh                            # needs: apt install redis-server redis-tools
#   RUNS=9 REQUESTS=500000 CLIENTS=64 SIZE=256 PIPELINES="1 16" SYNCS="always interval" ...
#
# DIR chooses the disk; TINYKV_FLAGS adds flags. Above 1.00 tinykv-server is ahead.
set -eu

RUNS=${RUNS:-5} REQUESTS=${REQUESTS:-200000} CLIENTS=${CLIENTS:-64} SIZE=${SIZE:-256}
PIPELINES=${PIPELINES:-1 16} SYNCS=${SYNCS:-always interval} TINYKV_FLAGS=${TINYKV_FLAGS:-}
BIN=${BIN:-target/release/tinykv-server}

for program in redis-server redis-cli redis-benchmark; do
    command -v $program >/dev/null || { echo "install redis 7: apt install redis-server redis-tools" >&2; exit 1; }
done
[ -x "$BIN" ] || { echo "build it first: cargo build --release -p tinykv-server" >&2; exit 1; }

work=$(mktemp -d "${DIR:-${TMPDIR:-/tmp}}/tinykv-bench.XXXXXX")
tinykv_pid='' redis_pid=''
stop() {
    for pid in $tinykv_pid $redis_pid; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
    tinykv_pid='' redis_pid=''
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# A port that nobody listens at.
free_port() {
    port=$((20000 + $$ % 20000))
    while redis-cli -p $port ping >/dev/null 2>&1; do port=$((port + 1)); done
    echo $port
}

# start SYNC: both servers on new folders; sets tinykv_port and redis_port.
start() {
    rm -rf "$work/tinykv" "$work/redis"; mkdir "$work/redis"
    # shellcheck disable=SC2086
    "$BIN" --addr off --resp-addr 127.0.0.1:0 --status-addr off --path "$work/tinykv" --sync "$1" \
        --log-level warn $TINYKV_FLAGS >"$work/ready" &
    tinykv_pid=$!
    case $1 in always) fsync=always ;; interval) fsync=everysec ;; *) fsync=no ;; esac
    redis_port=$(free_port)
    redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$work/redis" --save '' --appendonly yes \
        --appendfsync $fsync --logfile "$work/redis.log" &
    redis_pid=$!
    until grep -q ready "$work/ready"; do kill -0 $tinykv_pid; done
    until redis-cli -p "$redis_port" ping >/dev/null 2>&1; do kill -0 $redis_pid; done
    tinykv_port=$(sed -n 's/.* resp=[^ ]*:\([0-9]*\) .*/\1/p' "$work/ready")
}

# CPU time of a process in ticks of 10 ms: user and system.
cpu() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }

# measure PORT PID COMMAND PIPELINE: requests a second, and CPU microseconds for one.
measure() {
    before=$(cpu "$2")
    rate=$(redis-benchmark -h 127.0.0.1 -p "$1" -t "$3" -c "$CLIENTS" -d "$SIZE" -n "$REQUESTS" -P "$4" \
        --csv 2>/dev/null | awk -F'"' 'END { print $4 }')
    after=$(cpu "$2")
    echo "$rate $before $after $REQUESTS" | awk '{ printf "%d %.2f\n", $1, ($3 - $2) * 10000 / $4 }'
}

median() { sort -n | awk '{ a[NR] = $1 } END { m = (NR + 1) / 2; print (a[int(m)] + a[int(m + 0.5)]) / 2 }'; }

printf '%-9s %-4s %-3s %10s %10s %7s %12s %12s\n' \
    sync cmd -P tinykv/s redis/s ratio tinykv-us-cpu redis-us-cpu
for sync in $SYNCS; do
    start "$sync"
    for pipeline in $PIPELINES; do
        for command in set get; do
            : >"$work/ours"; : >"$work/theirs"; : >"$work/ratios"
            run=0
            while [ $run -lt "$RUNS" ]; do
                # Who goes first alternates.
                if [ $((run % 2)) = 0 ]; then
                    ours=$(measure "$tinykv_port" $tinykv_pid $command "$pipeline")
                    theirs=$(measure "$redis_port" $redis_pid $command "$pipeline")
                else
                    theirs=$(measure "$redis_port" $redis_pid $command "$pipeline")
                    ours=$(measure "$tinykv_port" $tinykv_pid $command "$pipeline")
                fi
                echo "$ours" >>"$work/ours"; echo "$theirs" >>"$work/theirs"
                echo "$ours $theirs" | awk '{ print $1 / $3 }' >>"$work/ratios"
                run=$((run + 1))
            done
            printf '%-9s %-4s %-3s %10.0f %10.0f %7.2f %12.2f %12.2f\n' "$sync" "$command" "$pipeline" \
                "$(cut -d' ' -f1 "$work/ours" | median)" "$(cut -d' ' -f1 "$work/theirs" | median)" \
                "$(median <"$work/ratios")" \
                "$(cut -d' ' -f2 "$work/ours" | median)" "$(cut -d' ' -f2 "$work/theirs" | median)"
        done
    done
    stop
done
