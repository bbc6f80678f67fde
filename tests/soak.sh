#!/usr/bin/env bash
# The gateway under mixed traffic for so many minutes, while its backends are killed, return and fail, its fleet is
# changed over the admin API, and its settings are read again: nothing may be lost, nothing may be left behind.
#
#     tests/soak.sh MINUTES                      # builds release first
#     tests/soak.sh MINUTES --asan               # built with address and undefined behaviour sanitizers
#     tests/soak.sh MINUTES --bin build/dev/bin  # programs that are built already
#
# `--seed N` draws another sequence. What is checked, and why it must hold, stands in tests/soak.py. Needs python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=${1:-}
[[ $minutes =~ ^[0-9]+([.][0-9]+)?$ ]] || { sed -n '2,10s/^# \{0,1\}//p' tests/soak.sh >&2; exit 2; }
shift
preset=release bin='' more=()
while [ $# -gt 0 ]; do
    case "$1" in
        --asan) preset=asan more+=(--asan) ;;
        --bin) bin=${2:?--bin needs a folder}; shift ;;
        --seed) more+=(--seed "${2:?--seed needs a number}"); shift ;;
        *) sed -n '2,10s/^# \{0,1\}//p' tests/soak.sh >&2; exit 2 ;;
    esac
    shift
done
command -v python3 >/dev/null || { echo "python3 is missing: cmake/install-packages.sh tests" >&2; exit 1; }

if [ -z "$bin" ]; then
    mkdir -p build
    { cmake --preset $preset -DFAIRLEAD_TESTS=OFF -DCMAKE_UNITY_BUILD=ON -B build/soak-$preset &&
        cmake --build build/soak-$preset -j "$(nproc)" --target fairlead-gateway fairlead-mock-llm fairlead-ctl; } \
        >build/soak.log 2>&1 || { tail -n 40 build/soak.log >&2; exit 1; }
    bin=build/soak-$preset/bin
fi

# Nothing of the caller's settings may reach the programs.
unset "${!FAIRLEAD_@}" "${!LLM_@}" "${!LOAD_BALANCE_@}" "${!HEALTH_CHECK_@}" VLLM_SERVER_URL MODEL_NAME API_KEY \
    MAX_RETRIES FAILURE_THRESHOLD
work=$(mktemp -d)
status=0
python3 tests/soak.py "$minutes" --bin "$bin" --work "$work" "${more[@]}" || status=$?
if [ $status -ne 0 ]; then
    mkdir -p build
    cp "$work/log" build/soak-failed.log
    echo "the end of what the programs said, all of which is in build/soak-failed.log:" >&2
    tail -n 40 "$work/log" >&2
fi
rm -rf "$work"
exit $status
