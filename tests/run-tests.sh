#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests: plain with g++, under sanitizers with clang, from an installed
# package as a user would; then fuzzes each reader for 20 s and runs the gateway in trouble for 30 s. Stops at the first
# configuration that fails.
#
#     tests/run-tests.sh                 # all; some 20 minutes on two cores
#     tests/run-tests.sh --quick         # g++ without sanitizers
#     tests/run-tests.sh --config NAME   # one of: format gcc clang asan tsan package bench fuzz soak; more than once for
#                                      # several. Not among all: clang, of which asan compiles the same
#
# Builds in build/tests-NAME, with what each step said in build/tests-NAME.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,11s/^# \{0,1\}//p' tests/run-tests.sh; }
wanted=()
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) wanted=(gcc) ;;
        --config) wanted+=("${2:?--config needs a name}"); shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ ${#wanted[@]} -gt 0 ] || wanted=(format gcc asan tsan package bench fuzz soak)

# The tests set what they need: nothing of the caller's settings may reach them.
unset "${!FAIRLEAD_@}" "${!LLM_@}" "${!LOAD_BALANCE_@}" "${!HEALTH_CHECK_@}" VLLM_SERVER_URL MODEL_NAME API_KEY \
    MAX_RETRIES FAILURE_THRESHOLD
export LC_ALL=C.UTF-8

cmake/install-packages.sh tests
mkdir -p build
cmake/fetch-promtool.sh build/promtool

links() { "$@" -x c++ -o build/linked - <<<'int main() {}' 2>/dev/null; }

# One that has its sanitizers' runtime.
newest_clang() {
    local version
    for version in $(seq 29 -1 14); do
        if links "clang++-$version" -fsanitize=thread; then echo "clang++-$version"; return; fi
    done
    echo clang++
}
clangxx=$(newest_clang)
clang=${clangxx/++/}

jobs=$(nproc)
common=(-G Ninja -DCMAKE_BUILD_TYPE=None -DFAIRLEAD_WERROR=ON)
if command -v ccache >/dev/null; then
    common+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache)
fi
# The linker is a good part of an unoptimised build.
if links g++ -fuse-ld=mold && links "$clangxx" -fuse-ld=mold; then
    common+=(-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=mold)
fi
rm -f build/linked

say() { printf '\n== %s (at %d s)\n' "$*" "$SECONDS"; }
fail() {
    printf '\nFAILED: %s, after %d s\n' "$*" "$SECONDS"
    exit 1
}
programs_run=0
cases_run=0
package=''  # the process that tries it, while it does
trap '[ -z "$package" ] || kill "$package" 2>/dev/null || true' EXIT

# configuration NAME C++COMPILER CCOMPILER FLAGS SANITIZERS: builds and runs every test. Joins files, which halves what
# they take; that of g++ compiles each public header by itself, too, and that of clang the private ones as well. Under
# ThreadSanitizer without fairlead-ctl, which has one thread.
configuration() {
    local headers=OFF ctl=ON
    if [ "$1" = gcc ]; then headers=ON; fi
    if [ "$1" = clang ]; then headers=ALL; fi
    if [ "$1" = tsan ]; then ctl=OFF; fi
    local name=$1 build=build/tests-$1 log=build/tests-$1.log
    say "$name: $2 $4${5:+ -fsanitize=$5}"
    if ! cmake -S . -B "$build" "${common[@]}" -DCMAKE_CXX_COMPILER="$2" -DCMAKE_C_COMPILER="$3" \
        -DCMAKE_CXX_FLAGS="$4" -DCMAKE_C_FLAGS=-O1 -DFAIRLEAD_SANITIZE="$5" \
        -DFAIRLEAD_HEADER_TESTS=$headers -DFAIRLEAD_CTL=$ctl -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=16 \
        >"$log" 2>&1; then
        cat "$log"
        fail "cmake cannot configure $name"
    fi
    # -k 0: every file's errors at once.
    if ! cmake --build "$build" -j "$jobs" -- -k 0 >>"$log" 2>&1; then
        grep -E -A 6 ' error: | undefined reference' "$log" | head -n 80 || true
        fail "$name does not build; all that was said is in $log"
    fi
    # One more than there are cores: some wait for time-outs and processes of their own.
    if ! ctest --test-dir "$build" --output-on-failure --no-tests=error -j $((jobs + 1)) >>"$log" 2>&1; then
        sed -n '/^Test project/,$p' "$log" | grep -vE '(Passed +[0-9.]+ sec$)|^ +Start ' | tail -n 150 || true
        fail "tests under $name; all that was said is in $log"
    fi
    local last=$build/Testing/Temporary/LastTest.log programs cases
    programs=$(grep -c '^Test Passed' "$last" || true)
    # Catch2 says "All tests passed (N assertions in M test cases)".
    cases=$(sed -n 's/.* assertions\{0,1\} in \([0-9]*\) test cases\{0,1\}.*/\1/p' "$last" |
        awk '{ sum += $1 } END { print sum + 0 }')
    sed -n 's/^\([0-9]*% tests passed.*\)/\1/p' "$log" | tail -n 1  # as ctest says it
    echo "$programs tests; those that are Catch2 programs hold $cases cases"
    programs_run=$((programs_run + programs))
    cases_run=$((cases_run + cases))
}

# Another version of clang-format would lay out a few lines otherwise.
format() {
    local tool files
    tool=$(command -v clang-format-14 || command -v clang-format || true)
    if [ -z "$tool" ] || [[ $("$tool" --version) != *"version 14."* ]]; then
        echo "skipped: clang-format 14 is not here"
        return
    fi
    mapfile -t files < <(find include src examples tests -name '*.[ch]pp' | sort)
    "$tool" --dry-run --Werror "${files[@]}" 2>build/tests-format.log || {
        grep -o '^[^:]*:[0-9]*' build/tests-format.log | sort -u | sed -n '1,20p'
        fail "the layout of these lines; mend it with $tool -i"
    }
    echo "${#files[@]} files are laid out as .clang-format says"
}

for name in "${wanted[@]}"; do
    case "$name" in
        gcc) configuration gcc g++ gcc "-O0" "" ;;
        clang) configuration clang "$clangxx" "$clang" "-O0 -g1" "" ;;
        asan) configuration asan "$clangxx" "$clang" "-O0 -g1" address,undefined ;;
        tsan) configuration tsan "$clangxx" "$clang" "-O0 -g1" thread ;;
        fuzz)
            say "fuzz: each target over its kept inputs, then 20 s for others"
            tests/fuzz/run.sh 20 >build/tests-fuzz.log 2>&1 || {
                tail -n 60 build/tests-fuzz.log
                fail "a fuzz target"
            }
            grep -h ' inputs kept' build/tests-fuzz.log
            programs_run=$((programs_run + 1))
            ;;
        soak)
            say "soak: the gateway for half a minute, while all around it changes"
            programs=()  # those of gcc, where they are built; else its own
            if [ -x build/tests-gcc/bin/fairlead-ctl ] && [ -x build/tests-gcc/bin/fairlead-gateway ]; then
                programs=(--bin build/tests-gcc/bin)
            fi
            tests/soak.sh 0.5 "${programs[@]}" || fail "the soak"
            programs_run=$((programs_run + 1))
            ;;
        package)
            # Half of it and of what follows keeps one core busy: they share the time.
            say "package: installed, found, linked and run as a user would; told of at the end"
            tests/consumer/run.sh >build/tests-package.log 2>&1 &
            package=$!
            ;;
        bench)
            say "bench: the benchmark builds and runs; its figures mean nothing here"
            tests/benchmark/run.sh --short build/tests-bench >build/tests-bench.log 2>&1 || {
                tail -n 40 build/tests-bench.log build/tests-bench/* || true
                fail "the benchmark"
            }
            tests/benchmark/guard.sh || fail "the instruction guard"
            ;;
        format)
            say "format"
            format
            ;;
        *) usage >&2; exit 2 ;;
    esac
done

if [ -n "$package" ]; then
    wait "$package" || { cat build/tests-package.log; fail "the installed package"; }
    package=''
    printf '\npackage: '
    tail -n 1 build/tests-package.log
    programs_run=$((programs_run + 1))
fi

printf '\n%d Catch2 cases in %s; %d s\n' "$cases_run" "${wanted[*]}" "$SECONDS"
printf '%d passed, 0 failed\n' "$programs_run"
