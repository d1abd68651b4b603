#!/bin/sh
# What a cluster costs as it grows: CPU and memory of a store, by the number of stores and regions,
# idle and under a load of a fixed rate over all regions. All stores run on this machine.
#
#   kv/server/bench/cost.sh                                   # or: make bench-cost
#   NODES="1 3" REGIONS="1 1000" IDLE=10 ACTIVE=10 RATE=2000 kv/server/bench/cost.sh
#
# CPU is a percentage of one core, the mean of all stores of the cluster. Memory is what the process
# holds (VmRSS). "a region" is what one more costs than the cluster with the fewest regions.
set -eu

NODES=${NODES:-1 3 5} REGIONS=${REGIONS:-1 100 1000} IDLE=${IDLE:-10} ACTIVE=${ACTIVE:-10} RATE=${RATE:-2000}
BIN=${BIN:-target/release}

for file in "$BIN/tinykv" "$BIN/tinykv-server"; do
    [ -x "$file" ] || { echo "build it first: make bench-cost" >&2; exit 1; }
done

work=$(mktemp -d "${DIR:-${TMPDIR:-/tmp}}/tinykv-cost.XXXXXX")
launcher=''
stop() {
    if [ -n "$launcher" ]; then kill "$launcher" 2>/dev/null || true; wait "$launcher" 2>/dev/null || true; fi
    launcher=''
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

hertz=$(getconf CLK_TCK)

# Ticks of CPU that the stores have had, all together.
cpu_ticks() { for pid in $pids; do sed 's/.*) //' "/proc/$pid/stat"; done | awk '{ sum += $12 + $13 } END { print sum }'; }

# Mean KiB of memory of a store.
memory() { for pid in $pids; do grep VmRSS "/proc/$pid/status"; done | awk '{ sum += $2 } END { print sum / NR }'; }

# measure SECONDS: mean percent of a core that a store takes.
measure() {
    before=$(cpu_ticks) begun=$(date +%s%N)
    sleep "$1"
    after=$(cpu_ticks) ended=$(date +%s%N)
    echo "$before $after $begun $ended $hertz $nodes" |
        awk '{ print ($2 - $1) / $5 / (($4 - $3) / 1e9) / $6 * 100 }'
}

# Starts a cluster, and waits until each region has a leader.
start() {
    keys=$(awk -v n="$regions" 'BEGIN { for (i = 1; i < n; i++) printf "%skey:%012d", (i > 1 ? "," : ""), i * 100000 / n }')
    : >"$work/ready"
    "$BIN/tinykv" cluster start --nodes "$nodes" --path "$work/data" -- --log-level warn --split-keys "$keys" >"$work/ready" &
    launcher=$!
    until grep -q '^ready' "$work/ready"; do kill -0 $launcher; done
    native=$(sed -n 's/^ready native=\([^ ]*\) .*/\1/p' "$work/ready")
    pids=$(awk '$1 ~ /^[0-9]+$/ && $3 ~ /:/ { print $2 }' "$work/ready")
    until [ "$("$BIN/tinykv" --addr "$native" admin regions | awk 'NR > 1 && $5 != "-"' | wc -l)" -eq "$regions" ]; do :; done
}

printf '%6s %8s | %9s %9s %14s %14s | %9s %9s %9s\n' \
    stores regions 'idle CPU%' 'MiB' 'CPU% a region' 'KiB a region' 'load CPU%' 'MiB' 'answers/s'
for nodes in $NODES; do
    base=''
    for regions in $REGIONS; do
        start
        sleep 3
        idle_cpu=$(measure "$IDLE") idle_kib=$(memory)
        "$BIN/tinykv" --addr "$native" --json bench --mix set:1 --rate "$RATE" --warm-up 2s --duration "$((ACTIVE + 4))s" >"$work/load" &
        load=$!
        sleep 3
        load_cpu=$(measure "$ACTIVE") load_kib=$(memory)
        wait $load
        answers=$(tr ',' '\n' <"$work/load" | sed -n 's/.*"per_second": *\([0-9.]*\).*/\1/p' | head -n 1)
        [ -n "$base" ] || base="$regions $idle_cpu $idle_kib"
        echo "$nodes $regions $idle_cpu $idle_kib $load_cpu $load_kib ${answers:-0} $base" | awk '{
            more = $2 - $8
            if (more > 0) { cpu = sprintf("%.4f", ($3 - $9) / more); kib = sprintf("%.1f", ($4 - $10) / more) }
            else { cpu = "-"; kib = "-" }
            printf "%6d %8d | %9.2f %9.1f %14s %14s | %9.2f %9.1f %9.0f\n", $1, $2, $3, $4 / 1024, cpu, kib, $5, $6 / 1024, $7
        }'
        stop
        rm -rf "$work/data"
    done
done
