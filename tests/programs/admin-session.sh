#!/usr/bin/env bash
# An operator's session as the guide has it, "runtime switching" and "monitoring", with curl against the gateway.
#
#     admin-session.sh BIN    the folder with the programs
set -euo pipefail
readonly bin=$1
readonly key=0123456789abcdef

work=$(mktemp -d)
pids=()
clean_up() {
    local status=$?
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT

if ! command -v curl >/dev/null; then
    echo "skipped: there is no curl here"
    exit 0
fi

# start NAME COMMAND...: sets `url` when it says where it listens, and `said` to all lines until then.
start() {
    local name=$1 line
    shift
    mkfifo "$work/$name"
    "$@" >"$work/$name" 2>"$work/$name.err" &
    pids+=($!)
    exec {out}<"$work/$name"
    url= said=
    while read -r -t 20 -u "$out" line; do
        said+=$line$'\n'
        if [[ $line == *"listening on "* ]]; then url=${line##*listening on }; break; fi
    done
    [[ -n $url ]] || { echo "$name did not start: $(cat "$work/$name.err")" >&2; exit 1; }
    cat <&"$out" >>"$work/$name.log" &
    exec {out}<&-
}

# admin METHOD PATH [BODY]: sets `status` and `answer`.
admin() {
    local arguments=(-s -o "$work/answer" -w '%{http_code}' -X "$1" -H "X-API-Key: $key")
    if (($# > 2)); then arguments+=(-H 'Content-Type: application/json' -d "$3"); fi
    status=$(curl "${arguments[@]}" "$gateway/api/v1/load_balancer$2")
    answer=$(<"$work/answer")
}
expect() {  # expect WHAT PATTERN: the answer is a success and matches
    if [[ $status != 200 || $answer != *"$2"* ]]; then
        echo "$1: expected 200 with $2, got $status: $answer" >&2
        exit 1
    fi
}
chat() { curl -s -o /dev/null -w '%{http_code}' "$gateway/v1/chat/completions" \
    -d '{"model": "qwenOmni7", "messages": [{"role": "user", "content": "Hello"}]}'; }

backends=
for name in primary backup; do
    start "$name" "$bin/fairlead-mock-llm" --name "$name" --model qwenOmni7
    backends+="${backends:+,}{\"name\":\"$name\",\"url\":\"$url\",\"model_name\":\"qwenOmni7\",\"api_key\":\"abc123\"}"
done
start new "$bin/fairlead-mock-llm" --name new --model qwenOmni7
new=$url
start gateway env LC_ALL=zh_CN.UTF-8 LLM_BACKENDS="[$backends]" LOAD_BALANCE_STRATEGY=weighted_round_robin \
    FAIRLEAD_ADMIN_KEY=$key "$bin/fairlead-gateway" --listen 127.0.0.1:0 --env-file ''
gateway=$url
[[ $said == *"负载均衡LLM服务初始化完成，包含 2 个后端"* ]] || { echo "no mode line: $said" >&2; exit 1; }

# Monitoring: state, list and figures.
admin GET /status
expect "status" '"mode":"multi_backend"'
expect "status" '"total_backends":2'
admin GET /backends
expect "backends" '"name":"primary"'
[[ $answer != *abc123* ]] || { echo "a key is shown: $answer" >&2; exit 1; }

# Runtime switching: add a backend, change the strategy.
admin POST /backends '{"name": "new-backend", "url": "'"$new"'", "model_name": "qwenOmni7", "api_key": "xyz789"}'
expect "add" '"status":"success"'
admin PUT /strategy '{"strategy": "least_connections"}'
expect "strategy set" '"strategy":"least_connections"'
admin GET /strategy
expect "strategy get" '"strategy":"least_connections"'
admin POST /backends/new-backend/health_check
expect "health check" '"health_status":"healthy"'

# The new one alone serves when the others may not.
admin POST /backends/primary/disable
expect "disable" '"status":"success"'
admin POST /backends/backup/drain
expect "drain" '"status":"success"'
[[ $(chat) == 200 ]] || { echo "the new backend does not serve" >&2; exit 1; }
admin GET /metrics
expect "metrics" '"healthy_backends":1'
admin POST /backends/primary/enable
expect "enable" '"status":"success"'
admin PUT /backends/primary '{"weight": 5}'
expect "update" '"status":"success"'
admin DELETE /backends/new-backend
expect "remove" '"status":"success"'
[[ $(chat) == 200 ]] || { echo "primary does not serve" >&2; exit 1; }
admin GET /status
expect "overall statistics survive the removal" '"total_requests":2'
admin POST /health_check/stop
expect "stop" '"status":"success"'
admin GET /status
expect "stopped" '"health_check_running":false'
admin POST /health_check/start
expect "start" '"status":"success"'

# Metrics need no key, and Prometheus' own tool finds nothing to say about them.
curl -sf "$gateway/metrics" >"$work/metrics"
grep -q '^fairlead_requests_total{backend="primary",outcome="success"} 1$' "$work/metrics"
promtool=$(dirname "${BASH_SOURCE[0]}")/../../build/promtool/promtool  # of cmake/fetch-promtool.sh
[[ -x $promtool ]] || promtool=$(command -v promtool || true)
if [[ -n $promtool ]]; then
    "$promtool" check metrics <"$work/metrics"
    echo "promtool has nothing to say about the metrics"
else
    echo "skipped: promtool is not here (cmake/fetch-promtool.sh), so the metrics were not checked with it"
fi
echo "the session went well"
