#!/usr/bin/env bash
# Builds release and measures our gateway beside HAProxy and nginx, all in one session.
#
#   tests/benchmark/gateway.sh [--short] [OUTPUT_DIR] [MORE]     # MORE goes to gateway.py, which says what there is
#
# Writes gateway.json and gateway.md. Takes some six minutes; wants two CPUs with nothing else to do, and a hard limit
# of open files of 11,000 (`ulimit -Hn`). Runs as any user; only the packages that are missing need root.
# --short: one brief round, so that it cannot rot: its figures mean nothing. It installs nothing; a peer that is not
# here is left out.
set -euo pipefail
cd "$(dirname "$0")/../.."

short=()
if [ "${1:-}" = --short ]; then short=(--short); shift; fi
out=build/benchmark
if [[ ${1:-} != --* && -n ${1:-} ]]; then out=$1; shift; fi
mkdir -p "$out"

build=build/benchmark-gateway
options=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DFAIRLEAD_TESTS=OFF -DFAIRLEAD_CTL=OFF)
if [ ${#short[@]} -eq 0 ]; then
    cmake/install-packages.sh benchmark
elif [ -f build/tests-gcc/CMakeCache.txt ]; then
    build=build/tests-gcc options=()  # it has the gateway already
fi
cmake -S . -B "$build" "${options[@]}" -DFAIRLEAD_BENCHMARKS=ON >"$out/gateway-build.log"
cmake --build "$build" --target fairlead-gateway bench-gateway-load >>"$out/gateway-build.log"

# Debian's are where an ordinary user does not look.
PATH=$PATH:/usr/sbin exec python3 tests/benchmark/gateway.py "$build/bin" "$out" "${short[@]}" "$@"
