#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests: with g++ and clang, plain and under sanitizers, then from
# an installed package as a user would.
#
#   tests/run-tests.sh [--quick] [--only NAME]...
#     --quick       g++ without sanitizers, and nothing else
#     --only NAME   one of: gcc clang asan tsan package
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
unset LLM_BACKENDS LOAD_BALANCE_ENABLED LOAD_BALANCE_STRATEGY VLLM_SERVER_URL MODEL_NAME API_KEY || true

selected=()
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) selected=(gcc) ;;
        --only) shift; selected+=("${1:?--only needs a name}") ;;
        *) sed -n '2,8p' "$0" >&2; exit 2 ;;
    esac
    shift
done
[ ${#selected[@]} -gt 0 ] || selected=(gcc clang asan tsan package)

bash cmake/install-packages.sh tests

newest_clang() {
    local version
    for version in 21 20 19 18 17 16 15 14; do
        if command -v "clang++-$version" >/dev/null; then echo "clang++-$version"; return; fi
    done
    echo clang++
}
clang=$(newest_clang)
jobs=$(nproc)
launcher=()
if command -v ccache >/dev/null; then
    launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache)
fi

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }
tests_run=0
failed=()

# configuration NAME CXX CC FLAGS SANITIZERS [cmake arguments]: builds and runs every test.
configuration() {
    local name=$1 cxx=$2 cc=$3 flags=$4 sanitize=$5
    shift 5
    local build=build/tests-$name log
    say "$name: $cxx $flags ${sanitize:+-fsanitize=$sanitize}"
    cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_C_COMPILER="$cc" \
        -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_C_FLAGS="-O1" -DFAIRLEAD_SANITIZE="$sanitize" \
        "${launcher[@]}" "$@" >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
    cmake --build "$build" -j "$jobs" >>"$build.log" 2>&1 ||
        { grep -E -A 12 'error|FAILED' "$build.log" | head -n 80; echo "The build of $name failed: $build.log"; exit 1; }
    log=$build.ctest
    if ! ctest --test-dir "$build" --output-on-failure -j "$jobs" >"$log" 2>&1; then
        grep -vE '^ +[0-9]+/[0-9]+ Test .*Passed|^ +Start +' "$log" | tail -n 120
        failed+=("$name")
    fi
    tail -n 3 "$log" | grep -E 'tests passed' || true
    tests_run=$((tests_run + $(grep -cE 'Test +#[0-9]+:' "$log")))
}

mkdir -p build
for name in "${selected[@]}"; do
    case "$name" in
        gcc) configuration gcc g++ gcc "-O0 -g1" "" ;;
        clang) configuration clang "$clang" "${clang/++/}" "-O0 -g1" "" ;;
        asan) configuration asan "$clang" "${clang/++/}" "-O1 -g1" "address,undefined" ;;
        tsan) configuration tsan "$clang" "${clang/++/}" "-O1 -g1" "thread" ;;
        package)
            say "package: installed, found, linked and run as a user would"
            if bash tests/consumer/run.sh; then tests_run=$((tests_run + 1)); else failed+=(package); fi
            ;;
        *) echo "unknown: $name" >&2; exit 2 ;;
    esac
done

if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED in %s, %d tests run in %d s\n' "${failed[*]}" "$tests_run" "$SECONDS"
    exit 1
fi
printf '\nAll passed: %d tests in %s, %d s\n' "$tests_run" "${selected[*]}" "$SECONDS"
