#!/usr/bin/env bash
# The settings change under a running gateway: by SIGHUP and by the file alone, valid and not, under requests that must
# not notice.
source "$(dirname "${BASH_SOURCE[0]}")/support.bash" "$1"

for name in a b c; do
    start_server "$name" "$bin/fairlead-mock-llm" --name "$name" --model m --first-token-ms 1
    declare "url_$name=$url"
done

# settings NAMES [MORE]: the file with these backends, replaced at once as an editor does.
settings() {
    local backends= name at
    for name in $1; do
        at=url_$name
        backends+="${backends:+,}{\"name\":\"$name\",\"url\":\"${!at}\",\"model_name\":\"m\"}"
    done
    echo "{\"llm_backends\": [$backends]${2:+, $2}}" >"$work/new.json"
    mv "$work/new.json" "$work/settings.json"
}
api=/api/v1/load_balancer
key=
admin() { curl -fsS ${key:+-H "X-API-Key: $key"} "$@"; }
names() { admin "$gateway$api/status" | grep -o '"available_backends":\[[^]]*\]'; }

settings "a b"
start_server gateway "$bin/fairlead-gateway" --listen 127.0.0.1:0 --env-file "" --settings "$work/settings.json"
gateway=$url
expect "at first" "$(names)" '"available_backends":["a","b"]'

# Requests without a pause, until told to stop; each must be answered.
load() {
    while [[ ! -e $work/enough ]]; do
        "$bin/fairlead-demo-client" --url "$gateway" --backend a --backend b --backend c --requests 40 \
            --label load >"$work/load.out" 2>&1 || { touch "$work/load.failed"; return; }
    done
}
load &
loader=$!

settings "b c" '"load_balance_strategy": "least_connections", "queue_limit": 7, "admin_key": "k", "seed": 5,
    "model_aliases": {"nick": "m"}, "health_check_path": "/health", "affinity_header": "X-Session"'
kill -HUP "${pids[gateway]}"
wait_for gateway "settings reloaded: "
applied="load_balance_strategy, queue_limit, health_check_path, admin_key, affinity_header, model_aliases"
expect "what was done" "$line" "settings reloaded: added c; draining a; in force $applied"
wait_for gateway "at the next start:"
expect "what was not" "$line" "at the next start: seed"
key=k
expect "without the new key" "$(curl -sS -o "$work/refused" -w '%{http_code}' "$gateway$api/status")" 401
# "a" is gone when its last request has ended, which was perhaps before all this was said.
gone_by=$((SECONDS + patience))
while [[ $(admin "$gateway$api/backends") == *'"a":'* ]]; do
    ((SECONDS < gone_by)) || fail "a is still there"
done
expect "after a reload" "$(names)" '"available_backends":["b","c"]'
expect "the strategy" "$(admin "$gateway$api/strategy" | grep -o '"strategy":"[a-z_]*"')" \
    '"strategy":"least_connections"'

# Nothing of a bad file counts, and every problem is named.
settings "a b c" '"max_retries": -1, "no_such_setting": 1'
wait_for gateway "settings not reloaded"
next_line gateway
first=$line
next_line gateway
[[ $first$line == *max_retries* && $first$line == *no_such_setting* ]] || fail "problems: $first / $line"
expect "after a bad file" "$(names)" '"available_backends":["b","c"]'

# A disabled backend stays so; the file alone is enough to be read again.
admin -X POST "$gateway$api/backends/b/disable" >"$work/disable.out"
settings "a b c" '"load_balance_strategy": "least_connections", "queue_limit": 7'
wait_for gateway "settings reloaded: added a"
key=
expect "a disabled one" "$(names)" '"available_backends":["a","c"]'

touch "$work/enough"
wait "$loader"
[[ ! -e $work/load.failed ]] || fail "requests failed: $(cat "$work/load.out")"
kill -TERM "${pids[gateway]}"
ended gateway
expect "its end" "$status" 0
echo "reload: settings changed under requests, and none failed"
