#!/usr/bin/env bash
# An operator's session: every command of fairlead-ctl against a gateway with stand-in backends, with its exit status.
#
#     tests/programs/ctl.sh BIN_DIR
set -euo pipefail
readonly bin=$1
export LC_ALL=C.UTF-8
unset "${!FAIRLEAD_@}" "${!LLM_@}" "${!LOAD_BALANCE_@}" VLLM_SERVER_URL MODEL_NAME API_KEY

work=$(mktemp -d)
pids=()
clean_up() {
    local pid
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

fail() {
    echo "ctl.sh: $*" >&2
    sed 's/^/    /' "$work/out" "$work/err" >&2 2>/dev/null || true
    exit 1
}

# start COMMAND...: runs it in the background, and sets `url` and `pid` when it says that it is listening.
start() {
    local pipe=$work/pipe.${#pids[@]} line
    mkfifo "$pipe"
    "$@" >"$pipe" 2>>"$work/log" &
    pid=$!
    pids+=("$pid")
    exec {out}<"$pipe"
    url=
    while read -r -t 20 -u "$out" line; do
        if [[ $line == *"listening on "* ]]; then
            url=${line##*listening on }
            break
        fi
    done
    [ -n "$url" ] || fail "$1 did not start"
    cat <&"$out" >>"$work/log" &
    exec {out}<&-
}

# ctl STATUS WORD...: runs fairlead-ctl, which must end with this status.
ctl() {
    local expected=$1 status=0
    shift
    "$bin/fairlead-ctl" "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq "$expected" ] || fail "[$*] ended with $status, not $expected"
    if [ "$expected" -eq 0 ] && [ -s "$work/err" ]; then fail "[$*] complained"; fi
    if [ "$expected" -ne 0 ] && [ ! -s "$work/err" ]; then fail "[$*] said no reason"; fi
}
# said TEXT...: each stands in what the last one printed (`complained`: on stderr).
said() { local text; for text in "$@"; do grep -qF -- "$text" "$work/out" || fail "it did not say [$text]"; done; }
complained() { grep -qF -- "$1" "$work/err" || fail "it did not complain [$1]"; }
# row NAME TEXT: the backend's row holds the text.
row() { grep "^$1  " "$work/out" | grep -qF -- "$2" || fail "the row of $1 does not hold [$2]"; }

start "$bin/fairlead-mock-llm" --name one --model demo
one=$url
start "$bin/fairlead-mock-llm" --name two --model demo
two=$url
start env LLM_BACKENDS="[{\"name\":\"one\",\"url\":\"$one\",\"model_name\":\"demo\"}]" FAIRLEAD_ADMIN_KEY=secret \
    "$bin/fairlead-gateway" --listen 127.0.0.1:0 --env-file ""
gateway=$url
gateway_pid=$pid

# Refused, not reached, not understood.
ctl 1 --server-url "$gateway" status
complained key
ctl 1 --server-url "$gateway" --api-key wrong status
ctl 3 --server-url "$one" --api-key secret status
complained "no fairlead admin API"
ctl 2 --server-url "$gateway" stats
complained "not understood: stats"
export FAIRLEAD_SERVER_URL=$gateway FAIRLEAD_API_KEY=secret

# The guide's "runtime switching".
ctl 0 status
said single_backend_balanced "requests               0" "available              one"
ctl 0 add --name two --url "$two" --model-name demo --backend-api-key xyz789 --weight 3 --max-connections 7 \
    --timeout 2.5 --priority 0 --tag fast --tag "big one"
ctl 1 add --name two --url "$two" --model-name demo --backend-api-key xyz789
complained two
ctl 1 add --name three --url "$two" --model-name demo --backend-api-key '' --weight 0
complained weight
ctl 0 list
row one healthy
row two 0/7
row two "fast, big one"
ctl 0 status
said multi_backend "backends               2"
ctl 0 strategy set --strategy least_connections --health-check-interval 12.5 --max-retries 3 --failure-threshold 2
ctl 0 strategy get
said "least_connections" "12.5 s" "max retries            3" "failure threshold      2" round_robin
ctl 1 strategy set --strategy no_such
complained no_such

# A name in another script, with a blank.
ctl 0 add --name "主力 乙" --url "$two" --model-name demo --backend-api-key ''
ctl 0 list
said "主力 乙  healthy"
[ "$(grep -c "  $two  " "$work/out")" -eq 2 ] || fail "a backend is missing"
ctl 0 remove "主力 乙"
ctl 1 remove "主力 乙"
complained "主力 乙"

# Disabled means no requests; enabled again, some.
ctl 0 disable two
ctl 0 list
row two disabled
"$bin/fairlead-demo-client" --url "$gateway" --requests 8 --concurrency 2 >/dev/null || fail "requests failed"
ctl 0 metrics
row one " 8 "
row two " 0 "
ctl 0 enable two
ctl 0 strategy set --strategy round_robin
"$bin/fairlead-demo-client" --url "$gateway" --requests 8 --concurrency 1 >/dev/null || fail "requests failed"
ctl 0 metrics
row one " 12 "
row two " 4 "
ctl 0 status
said "requests               16" "success rate           100.0 %"
ctl 0 drain two --wait
said "two: nothing is in flight any more"
ctl 0 list
row two draining
ctl 0 enable two

# Health checks.
ctl 0 health-check one
said "health status         healthy"
ctl 1 health-check nobody
ctl 0 health-check-control stop
ctl 0 status
said "health check running   no"
ctl 0 health-check-control start
ctl 0 status
said "health check running   yes"

# The raw answer, as the API gives it.
ctl 0 --json list
said '"status":"success"' '"max_connections":7'
if grep -q xyz789 "$work/out"; then fail "a backend's key was shown"; fi

# The live table: as often as asked for, or until Ctrl-C.
ctl 0 watch --interval 0.1 --count 3
[ "$(grep -c '^one  ' "$work/out")" -eq 3 ] || fail "watch did not look three times"
"$bin/fairlead-ctl" watch --interval 0.1 >"$work/watched" 2>"$work/err" &
watching=$!
pids+=("$watching")
for ((i = 0; i < 1000; i++)); do
    if [ -s "$work/watched" ]; then break; fi
    "$bin/fairlead-ctl" status >/dev/null  # paces the loop
done
kill -INT "$watching"
wait "$watching" || fail "watch ended with $? after SIGINT"
[ -s "$work/watched" ] && [ ! -s "$work/err" ] || fail "watch did not end cleanly"

# What cannot be written is no success.
if [ -w /dev/full ]; then
    status=0
    "$bin/fairlead-ctl" list >/dev/full 2>"$work/err" || status=$?
    [ "$status" -eq 1 ] || fail "an answer that could not be written ended with $status"
    complained "what was to be printed could not be written"
fi

# Operators who read Chinese.
env LC_ALL=zh_CN.UTF-8 "$bin/fairlead-ctl" list >"$work/out"  # by env: bash would look for the locale itself
said "名称" "个健康"

kill "$gateway_pid"
wait "$gateway_pid" || fail "the gateway ended with $?"
ctl 3 status
complained "could not be reached"
echo "every command did what it should"
