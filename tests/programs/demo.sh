#!/usr/bin/env bash
# The demo as a stranger runs it, with fewer requests: every strategy's row, no error, nothing left running.
#
#     tests/programs/demo.sh build/dev/bin
source "$(dirname "${BASH_SOURCE[0]}")/support.bash" "$@"
command -v curl >/dev/null || fail "curl is missing: cmake/install-packages.sh tests"
readonly demo=$(dirname "${BASH_SOURCE[0]}")/../../examples/run-demo.sh

# demo OPTION...: in a process group of its own, whose number is its process's.
start_demo() { start demo setsid bash "$demo" --quick --bin "$bin" "$@"; }
nothing_is_left() {
    if kill -0 -- "-$1" 2>/dev/null; then
        kill -KILL -- "-$1" || true
        fail "processes of the demo are still running"
    fi
}

start_demo
group=${pids[demo]}
ended demo
expect "the demo's status" "$status" 0
nothing_is_left "$group"
for row in round_robin weighted_round_robin least_connections random consistent_hash response_time 'with one killed'; do
    line=$(grep -E "^$row {2,}[0-9]" <<<"$rest") || fail "there is no row $row in: $rest"
    # Three backends with requests and share, p50, p99, errors.
    read -r -a columns <<<"${line#"$row"}"
    expect "the columns of $row" "${#columns[@]}" 9
    expect "the errors of $row" "${columns[8]}" 0
    expect "the requests of $row" $((columns[0] + columns[2] + columns[4])) 60
done
[[ $rest == *"No request failed"* ]] || fail "the demo does not say that no request failed: $rest"

start_demo --keep
group=${pids[demo]}
wait_for demo GATEWAY_URL=
[[ $line =~ ^GATEWAY_URL=(http://127\.0\.0\.1:[0-9]+)$ ]] || fail "the gateway's line is: $line"
gateway=${BASH_REMATCH[1]}
run curl --silent --fail --max-time "$patience" "$gateway/v1/chat/completions" \
    -d '{"messages": [{"role": "user", "content": "Hello"}], "stream": true}'
expect "the status of curl" "$status" 0
[[ $said == *'data: [DONE]'* ]] || fail "no chat came through: $said"
# A shell's background jobs ignore SIGINT; the demo treats both alike.
kill -TERM "$group"
ended demo
expect "the status of a demo that was told to stop" "$status" 143
nothing_is_left "$group"
echo "demo: every row is there, without an error, and nothing is left running"
