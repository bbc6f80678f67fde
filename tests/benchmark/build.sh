#!/usr/bin/env bash
# Builds the hot path's benchmark as users build: for run.sh and guard.sh, which share it. Prints where it is.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=build/benchmark-release
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DFAIRLEAD_FULL=OFF -DFAIRLEAD_TESTS=ON \
    -DFAIRLEAD_EXAMPLES=OFF -DFAIRLEAD_BENCHMARKS=ON >&2
cmake --build $build --target bench-hot-path >&2
echo $build
