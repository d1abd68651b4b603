#!/bin/sh
# Compares ways to run one server: how many threads serve connections, and which pool reads from
# the disk, with how many threads. All servers run at once on stores of their own with the same
# data; one after the other gets the same load of `tinykv bench`, round after round, so that what
# disturbs one disturbs all. Prints the medians of requests a second and of the slowest in a
# thousand, and the ratio to the first line.
#
#   kv/server/bench/pools.sh
#   RUNS=9 KEYS=1000000 SIZE=1024 DURATION=5s ...
#
# The stores have no cache of values, so every read is a job of the pool. DIR chooses the disk.
set -eu

RUNS=${RUNS:-5} KEYS=${KEYS:-100000} SIZE=${SIZE:-256} DURATION=${DURATION:-2s}
CONNECTIONS=${CONNECTIONS:-32} PIPELINE=${PIPELINE:-4} MIX=${MIX:-get:95,set:5}
SERVER=${SERVER:-target/release/tinykv-server} CLIENT=${CLIENT:-target/release/tinykv}
CORES=$(nproc)

for program in "$SERVER" "$CLIENT"; do
    [ -x "$program" ] || { echo "build it first: cargo build --release" >&2; exit 1; }
done

work=$(mktemp -d "${DIR:-${TMPDIR:-/tmp}}/tinykv-pools.XXXXXX")
pids=''
stop() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

# Name, threads that serve connections, pool, threads of the pool. The first is single-threaded as
# far as a server of this kind can be: one thread serves, one reads.
half=$(((CORES * 3 + 1) / 2))
{
    echo "single-threaded 1 shared 1"
    for pool in naive shared rayon; do
        for threads in $(printf '%s\n' "$CORES" "$half" "$((CORES * 2))" | sort -nu); do
            echo "$pool,$threads $CORES $pool $threads"
        done
    done
} >"$work/servers"

while read -r name threads pool pool_threads; do
    "$SERVER" --addr 127.0.0.1:0 --resp-addr off --status-addr off --path "$work/$name" \
        --sync interval --cache-size 0 --threads "$threads" --read-pool "$pool" \
        --read-pool-threads "$pool_threads" --log-level warn </dev/null >"$work/$name.ready" &
    pids="$pids $!"
    until grep -qs ready "$work/$name.ready"; do kill -0 $!; done
    sed -n 's/.* native=\([^ ]*\) .*/\1/p' "$work/$name.ready" | sed 1q >"$work/$name.address"
    "$CLIENT" --addr "$(cat "$work/$name.address")" bench --fill --keys "$KEYS" \
        --value-size "$SIZE" --requests 1 </dev/null >/dev/null
done <"$work/servers"

# measure NAME: appends requests a second and the slowest in a thousand (us), of all requests.
measure() {
    "$CLIENT" --addr "$(cat "$work/$1.address")" --json bench --keys "$KEYS" --value-size "$SIZE" \
        --verify --duration "$DURATION" --warm-up 200ms --mix "$MIX" \
        --connections "$CONNECTIONS" --pipeline "$PIPELINE" </dev/null >"$work/out"
    # The figures of all kinds come before those of each kind.
    grep -o '"per_second": *[0-9.]*' "$work/out" | sed -n '1s/.*: *//p' >>"$work/$1.rate"
    grep -o '"p99.9": *[0-9.]*' "$work/out" | sed -n '1s/.*: *//p' >>"$work/$1.tail"
}

run=0
while [ "$run" -lt "$RUNS" ]; do
    # Who goes first alternates.
    if [ $((run % 2)) = 0 ]; then order=cat; else order=tac; fi
    $order "$work/servers" >"$work/order"
    while read -r name _; do measure "$name"; done <"$work/order"
    run=$((run + 1))
done

median() { sort -n | awk '{ a[NR] = $1 } END { m = (NR + 1) / 2; print (a[int(m)] + a[int(m + 0.5)]) / 2 }'; }

echo "$CORES cores, $KEYS keys, values of $SIZE bytes, $MIX, $CONNECTIONS connections with $PIPELINE lanes, median of $RUNS runs"
printf '%-16s %12s %12s %8s\n' 'pool,threads' 'requests/s' 'p99.9 us' ratio
first=$(sed -n '1s/ .*//p' "$work/servers")
while read -r name _; do
    ratio=$(paste "$work/$name.rate" "$work/$first.rate" | awk '{ print $1 / $2 }' | median)
    printf '%-16s %12.0f %12.0f %8.2f\n' "$name" "$(median <"$work/$name.rate")" \
        "$(median <"$work/$name.tail")" "$ratio"
done <"$work/servers"
