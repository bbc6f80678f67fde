#!/usr/bin/env bash
# Puts small faults into the library, one at a time, and requires that a test fails of each.
#
#     tests/mutations/run.sh                        # all; some minutes on two cores
#     tests/mutations/run.sh ejection retry/stale   # those of a class, or single ones
#     tests/mutations/run.sh --jobs N               # so many at once; as many as there are cores as it comes
#     tests/mutations/run.sh --check                # only that every patch still applies, as the tests do
#
# A fault is a patch, CLASS/WHAT.patch, whose first line says what it breaks; CLASS/target names the files of tests/ that
# must notice. Works on copies in build/mutations, never on the tree itself, whose uncommitted changes are copied too. A
# fault that does not compile, or a patch that does not apply, is an error; one that hangs or crashes a test is noticed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ "${1:-}" = --check ]; then
    command -v git >/dev/null || { echo "skipped: git, which applies the patches, is not here"; exit 77; }
    status=0 count=0
    # Patches are applied to what lies here, whatever repository that is in.
    export GIT_CEILING_DIRECTORIES=${PWD%/*}
    for patch in tests/mutations/*/*.patch; do
        count=$((count + 1))
        read -r first <"$patch"
        if [[ -z $first || $first == ---* || $first == diff* ]]; then
            echo "$patch: the first line does not say what it breaks"
            status=1
        fi
        git apply --check "$patch" || { echo "$patch does not apply any more"; status=1; }
        [ -s "${patch%/*}/target" ] || { echo "${patch%/*}/target does not say which tests must notice"; status=1; }
    done
    echo "$count patches"
    exit $status
fi

case " $* " in
    *" --help "* | *" -h "*) sed -n '2,11s/^# \{0,1\}//p' tests/mutations/run.sh; exit 0 ;;
esac
cmake/install-packages.sh tests
exec python3 tests/mutations/run.py "$@"
