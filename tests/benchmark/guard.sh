#!/usr/bin/env bash
# Fails when a request takes more than 5 % more instructions than is written in instructions.txt.
#
#   tests/benchmark/guard.sh            # counts, compares
#   tests/benchmark/guard.sh --write    # counts, and writes the file's rows of this compiler: say why in the commit
#
# Counts by callgrind, in the build of run.sh: the same on every run. Skips, and says so, where valgrind is not here or
# the file has no rows of this compiler. What became more than 5 % cheaper is named: --write keeps it so.
set -euo pipefail
cd "$(dirname "$0")/../.."

case "${1:-}" in
    '' | --write) ;;
    *) sed -n '2,8s/^# \{0,1\}//p' tests/benchmark/guard.sh >&2; exit 2 ;;
esac
# ld.so's own choice of memcpy, strlen and exp follows the CPU: here all take the plain ones.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX_Usable,-AVX2_Usable,-FMA_Usable,-FMA4_Usable,-AVX,-AVX2,-FMA,-FMA4,-ERMS,-FSRM

if ! command -v valgrind >/dev/null; then
    echo "SKIPPED: no valgrind here, so no instruction is counted"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build=$(tests/benchmark/build.sh 2>"$work/log") || { cat "$work/log"; exit 1; }
valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$work/counts" \
    "$build/bin/bench-hot-path" --count-instructions >"$work/out" 2>"$work/log" || {
    cat "$work/out" "$work/log"
    exit 1
}
python3 tests/benchmark/guard.py tests/benchmark/instructions.txt "$build" "$work" "$@"
