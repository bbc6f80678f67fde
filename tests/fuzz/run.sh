#!/usr/bin/env bash
# Builds the fuzz targets, gives them the inputs of corpus/ again, then lets each look for others.
#
#     tests/fuzz/run.sh SECONDS [NAME...]   # each of the targets, or those named; on two cores three at once
#     tests/fuzz/run.sh 0                   # the kept inputs only
#
# Fails on any finding and says where the input that shows it lies: `build/fuzz/bin/fuzz-NAME FILE` repeats it. What
# was learnt on the way stays in build/fuzz/corpus/NAME, where the next run begins; `--keep` as the first argument
# adds what is new to tests/fuzz/corpus, as few and as small inputs as cover the same. Needs clang with its runtime.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

keep=false
if [ "${1:-}" = --keep ]; then keep=true; shift; fi
case ${1:-} in
    '' | *[!0-9]*) sed -n '2,9s/^# \{0,1\}//p' tests/fuzz/run.sh >&2; exit 2 ;;
esac
seconds=$1
shift
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for folder in tests/fuzz/corpus/*/; do names+=("$(basename "$folder")"); done
fi

# The one that the preset names, else the newest that has its fuzzing runtime.
clangxx=
for version in '' $(seq 29 -1 14); do
    candidate=clang++${version:+-$version}
    if "$candidate" -fsanitize=fuzzer,address -x c++ -o /dev/null - 2>/dev/null \
        <<<'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'; then
        clangxx=$candidate
        break
    fi
done
[ -n "$clangxx" ] || { echo "no clang with its fuzzing runtime is here: apt-get install clang" >&2; exit 1; }

build=build/fuzz log=build/fuzz.log
mkdir -p build
options=(-DCMAKE_CXX_COMPILER="$clangxx" -DCMAKE_C_COMPILER="${clangxx/++/}" -DCMAKE_UNITY_BUILD=ON)
if command -v ccache >/dev/null; then
    options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache)
fi
if ! { cmake --preset fuzz "${options[@]}" && cmake --build $build -j "$(nproc)" --target fuzz; } >"$log" 2>&1; then
    grep -E -A 6 ' error: |undefined reference|CMake Error' "$log" | head -n 60 >&2 || true
    echo "the fuzz targets do not build; all that was said is in $log" >&2
    exit 1
fi

export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1}
mkdir -p $build/findings

# one NAME: writes its log; fails on a finding.
one() {
    local name=$1 target=$build/bin/fuzz-$1 learnt=$build/corpus/$1 kept=tests/fuzz/corpus/$1
    local said=$build/$1.log limits=(-timeout=20 -rss_limit_mb=2048 -artifact_prefix="$build/findings/$1-")
    mkdir -p "$learnt"
    # With files instead of folders each is run once, and nothing else.
    "$target" "${limits[@]}" "$kept"/* >"$said" 2>&1 || return 1
    if [ "$seconds" -gt 0 ]; then
        "$target" "${limits[@]}" -max_total_time="$seconds" -max_len=2048 -print_final_stats=1 "$learnt" "$kept" \
            >>"$said" 2>&1 || return 1
    fi
    if $keep; then
        "$target" -merge=1 -max_len=2048 "${limits[@]}" "$kept" "$learnt" >>"$said" 2>&1 || return 1
    fi
}

# The pool of half as many again as there are cores: one that ends makes room for the next.
failed=()
declare -A running=()
collect() {
    local pid status=0
    wait -n -p pid "${!running[@]}" || status=$?
    local name=${running[$pid]}
    unset "running[$pid]"
    if [ $status -eq 0 ]; then
        printf '%s: %d inputs kept' "$name" "$(find "tests/fuzz/corpus/$name" -type f | wc -l)"
        sed -n 's/^stat::number_of_executed_units: */, tried /p' "$build/$name.log" | tr -d '\n'
        echo
    else
        failed+=("$name")
        tail -n 40 "$build/$name.log"
        echo "FAILED: $name; what shows it: $(sed -n 's/^.*Test unit written to //p' "$build/$name.log" | tail -n 1)"
        echo "Among the kept ones, the last that $build/$name.log names."
    fi
}
for name in "${names[@]}"; do
    while [ ${#running[@]} -ge $(($(nproc) * 3 / 2)) ]; do collect; done
    one "$name" &
    running[$!]=$name
done
while [ ${#running[@]} -gt 0 ]; do collect; done
[ ${#failed[@]} -eq 0 ]
