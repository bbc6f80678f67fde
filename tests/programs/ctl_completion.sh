#!/usr/bin/env bash
# The completion of fairlead-ctl in bash: it offers what --help lists, and the names that the server has.
#
#     tests/programs/ctl_completion.sh BIN_DIR
set -euo pipefail
readonly bin=$1
# shellcheck source=../../src/ctl/fairlead-ctl.bash
source "$(dirname "${BASH_SOURCE[0]}")/../../src/ctl/fairlead-ctl.bash"
export LC_ALL=C.UTF-8
unset "${!FAIRLEAD_@}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# complete_words WORD...: what is offered for the last of the words; sets COMPREPLY.
complete_words() {
    COMP_WORDS=("${program:-$bin/fairlead-ctl}" "$@")
    COMP_CWORD=$#
    _fairlead_ctl
}

# offers WORDS EXPECTED: completing the words (the last may be '') gives these and no others, in any order.
offers() {
    local words=$1 got
    eval "complete_words $words"
    got=$(tr ' ' '\n' <<<"${COMPREPLY[*]}" | sort | tr '\n' ' ')
    if [ "$got" != "$(tr ' ' '\n' <<<"$2" | sort | tr '\n' ' ')" ]; then
        echo "completing [$words] offers [$got], not [$2]"
        failures=$((failures + 1))
    fi
}

# lists_all WORDS HELP...: whatever the help of these words names, options and commands, is offered.
lists_all() {
    local words=$1 named
    shift
    while read -r named; do
        eval "complete_words $words"
        # Not through a pipe: grep leaves at the first match, and printf may then die of it.
        if ! grep -qxF -- "$named" <<<"$(printf '%s\n' "${COMPREPLY[@]}")"; then
            echo "completing [$words] does not offer $named"
            failures=$((failures + 1))
        fi
    done < <("$bin/fairlead-ctl" "$@" --help | sed -n -e 's/^  -h,--help.*/--help/p' -e 's/^  \([a-z-][a-z-]*\) .*/\1/p')
}

lists_all "''"
for command in status list add metrics watch; do lists_all "$command ''" "$command"; done
lists_all "drain -" drain
lists_all "strategy ''" strategy
lists_all "strategy set ''" strategy set
lists_all "health-check-control ''" health-check-control

offers "st" "status strategy"
offers "health" "health-check health-check-control"
offers "--json li" "list"
offers "--server-url http : //localhost : 5000 --api-key k rem" "remove"
offers "drain --w" "--wait"
offers "health-check-control st" "start stop"
offers "add --name ''" ""
offers "watch --int" "--interval"

# A server's names. The stand-in says how it was called, too.
cat >"$work/ctl" <<'SCRIPT'
#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
    *list) printf 'random: 3 of 3 healthy\nNAME     STATUS\nprimary  healthy\nprod 1   healthy\nother    disabled\n' ;;
    *get) printf 'strategy              random\navailable strategies  random, round_robin, `echo>"$STOLEN"`\n' ;;
esac
SCRIPT
chmod +x "$work/ctl"
export CALLS=$work/calls STOLEN=$work/stolen
program=$work/ctl
offers "remove ''" 'primary prod\ 1 other'
offers "enable pri" "primary"
offers "disable a ''" "--server-url --api-key --request-timeout --json --help --version"
offers "strategy set --strategy r" "random round_robin"
complete_words strategy set --strategy ''
if [ -e "$STOLEN" ]; then
    echo "what a server's answer holds was executed"
    failures=$((failures + 1))
fi
offers "--server-url http : //h : 5 --api-key k drain o" "other"
if [ "$(tail -n 1 "$CALLS")" != "--server-url http://h:5 --api-key k --request-timeout 2 list" ]; then
    echo "the server was asked by: $(tail -n 1 "$CALLS")"
    failures=$((failures + 1))
fi

[ "$failures" -eq 0 ] || exit 1
echo "what was completed is as it should be"
