#!/usr/bin/env bash
# Builds release and measures the hot path, each figure as a ratio to the floor of the same run.
#
#   tests/benchmark/run.sh [--short] [OUTPUT_DIR]
#
# Writes hot-path.json (Google Benchmark's), hot-path.md and hot-path.svg. Installs what is missing.
# `report.py --compare A.json B.json` says where two runs differ most.
# --short: once and briefly, so that it cannot rot; its figures mean nothing, and it installs nothing. The gateway's
# (gateway.sh) runs along.
#
# The program pins its threads itself, each to a CPU of its own of those that it may use (so `taskset` narrows them).
set -euo pipefail
cd "$(dirname "$0")/../.."

repetitions=9 min_time=0.05 short=no rows=.
if [ "${1:-}" = --short ]; then repetitions=1 min_time=0.002 short=yes rows=-/1000; shift; fi  # but 1,000 and 10,000 backends
out=${1:-build/benchmark}
mkdir -p "$out"
# failed LOG: with what was said last.
failed() { tail -n 30 "$1" >&2; exit 1; }
if [ "$short" = no ]; then cmake/install-packages.sh benchmark; fi
build=$(tests/benchmark/build.sh 2>"$out/build.log") || failed "$out/build.log"

# Interleaved repetitions: a disturbance of the machine hits all figures alike.
"$build/bin/bench-hot-path" --benchmark_repetitions="$repetitions" \
    --benchmark_min_time="$min_time" --benchmark_filter="$rows" --benchmark_enable_random_interleaving=true \
    --benchmark_report_aggregates_only=false --benchmark_out="$out/hot-path.json" \
    --benchmark_out_format=json >"$out/hot-path.txt" 2>&1 || failed "$out/hot-path.txt"
python3 tests/benchmark/report.py "$out/hot-path.json" "$out/hot-path.md" "$out/hot-path.svg"
cat "$out/hot-path.md"
if [ "$short" = yes ]; then tests/benchmark/gateway.sh --short "$out"; fi
