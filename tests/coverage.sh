#!/usr/bin/env bash
# How much of include/ and src/ the tests reach: lines and branches, by folder and in all, and the lines that none did.
#
#     tests/coverage.sh             # installs what is missing, builds, runs the tests, prints; some ten minutes on two cores
#     tests/coverage.sh --branches  # also names the branches that were only ever taken one way
#     tests/coverage.sh --print     # prints again what the last run found
#
# Clang's source-based coverage: a line is covered when any program ran it in any instantiation of its template, and a
# branch each way is one. Templates that nobody instantiates are not seen. Builds in build/coverage, where report.txt is
# what was printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=build/coverage log=build/coverage.log
options=() print_only=false
for argument in "$@"; do
    case "$argument" in
        --branches) options+=(--branches) ;;
        --print) print_only=true ;;
        *) sed -n '2,10s/^# \{0,1\}//p' tests/coverage.sh >&2; exit 2 ;;
    esac
done

report() {
    python3 tests/coverage.py $build/coverage.json "${options[@]}" | tee $build/report.txt
}
if $print_only; then report; exit; fi

unset "${!FAIRLEAD_@}" "${!LLM_@}" "${!LOAD_BALANCE_@}" "${!HEALTH_CHECK_@}" VLLM_SERVER_URL MODEL_NAME API_KEY \
    MAX_RETRIES FAILURE_THRESHOLD
export LC_ALL=C.UTF-8

cmake/install-packages.sh coverage
mkdir -p $build/counts

# The compiler and its tools must be of one version.
suffix=
for version in '' $(seq -f -%g 29 -1 14); do
    if command -v "clang++$version" "llvm-cov$version" "llvm-profdata$version" >/dev/null &&
        "clang++$version" -fprofile-instr-generate -x c++ -o $build/linked - <<<'int main() {}' 2>/dev/null; then
        suffix=$version
        break
    fi
done
rm -f $build/linked
command -v "llvm-cov$suffix" >/dev/null || { echo "clang, llvm-cov and llvm-profdata of one version are needed" >&2; exit 1; }

settings=(-G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_COMPILER="clang++$suffix" -DCMAKE_C_COMPILER="clang$suffix"
    -DCMAKE_CXX_FLAGS="-O0 -g1 -fprofile-instr-generate -fcoverage-mapping" -DCMAKE_C_FLAGS=-O1
    -DCMAKE_EXE_LINKER_FLAGS=-fprofile-instr-generate -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=4)
if command -v ccache >/dev/null; then
    settings+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache)
fi
failed() {
    grep -E -A 6 ' error: |undefined reference|CMake Error' $log | head -n 60 >&2 || true
    echo "$1; all that was said is in $log" >&2
    exit 1
}
cmake -S . -B $build "${settings[@]}" >$log 2>&1 || failed "cmake cannot configure"
# The tests, and the command line, of which src/ctl/main.cpp is only in the program.
mapfile -t programs < <(cd tests && for folder in */; do
    if [ -n "$(compgen -G "$folder*.cpp")" ]; then echo "test-${folder%/}"; fi
done)
known=$(cmake --build $build --target help)
targets=()
for program in "${programs[@]}" fairlead-ctl fairlead-gateway fairlead-mock-llm fairlead-demo-client; do
    if [[ $known == *"$program: phony"* ]]; then targets+=("$program"); fi
done
cmake --build $build -j "$(nproc)" --target "${targets[@]}" >>$log 2>&1 || failed "the tests do not build"

# Each process adds its counts to its program's file.
rm -f $build/counts/*
tests="^(($(IFS='|'; echo "${programs[*]#test-}"))(-[a-z_]+)?|ctl\.sh)\$"
LLVM_PROFILE_FILE=$PWD/$build/counts/%m.profraw \
    ctest --test-dir $build --output-on-failure --no-tests=error -j "$(nproc)" -R "$tests" >>$log 2>&1 ||
    { sed -n '/^Test project/,$p' $log | grep -v ' Passed ' | tail -n 60 >&2; echo "a test failed" >&2; exit 1; }

"llvm-profdata$suffix" merge -sparse -o $build/counts/all.profdata $build/counts/*.profraw
objects=("$build/bin/${targets[0]}")
for target in "${targets[@]:1}"; do objects+=(-object "$build/bin/$target"); done
# It warns of functions that one program has and another does not use: those are counted where they are used.
"llvm-cov$suffix" export -skip-expansions -skip-functions -instr-profile $build/counts/all.profdata \
    -ignore-filename-regex='(^/usr/|/tests/|/examples/)' "${objects[@]}" >$build/coverage.json \
    2> >(grep -v 'functions have mismatched data' >&2 || true)
report
