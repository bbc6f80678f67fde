#!/usr/bin/env bash
# curl completes a plain and a streaming chat through the gateway, and gets byte for byte what the backend itself says.
#
#     tests/programs/curl.sh build/dev/bin
source "$(dirname "${BASH_SOURCE[0]}")/support.bash" "$@"
command -v curl >/dev/null || fail "curl is missing: cmake/install-packages.sh tests"

start_server backend "$bin/fairlead-mock-llm" --listen 127.0.0.1:0 --name one --model own-name --tokens-per-second 200
backend=$url
start_server gateway env VLLM_SERVER_URL="$backend" MODEL_NAME=own-name \
    "$bin/fairlead-gateway" --listen 127.0.0.1:0 --env-file ""
gateway=$url

# chat FILE URL MODEL MORE: the answer's body into the file, its head into FILE.head.
chat() {
    curl --silent --show-error --fail --no-buffer --max-time "$patience" --dump-header "$work/$1.head" \
        --output "$work/$1" "$2/v1/chat/completions" -H 'Content-Type: application/json' \
        -d "{\"model\":\"$3\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]$4}" || fail "curl to $2: status $?"
}
has_header() { tr -d '\r' <"$work/$1.head" >"$work/head" && grep -qix "$2" "$work/head" || fail "$1 lacks the header $2"; }

stream=',"stream":true,"stream_options":{"include_usage":true}'
chat plain-direct "$backend" own-name ''
chat plain "$gateway" gpt-4 ''
chat stream-direct "$backend" own-name "$stream"
chat stream "$gateway" gpt-4 "$stream"

for answer in plain stream; do
    cmp "$work/$answer-direct" "$work/$answer" || fail "the $answer answer was changed on its way"
    has_header "$answer" 'HTTP/1.1 200 OK'
    has_header "$answer" 'X-Fairlead-Backend: default'
done
has_header plain 'Content-Type: application/json'
has_header stream 'Content-Type: text/event-stream'
grep -q '"object":"chat.completion"' "$work/plain" || fail "the plain answer is no completion"
expect "events with a token" "$(grep -c '"delta":{"content"' "$work/stream")" 16
expect "the stream's last bytes" "$(tail -c 14 "$work/stream"; echo x)" $'data: [DONE]\n\nx'

# As other clients send: HTTP/1.0, and a body in chunks, which curl announces with Expect when it is large.
curl --silent --show-error --fail --http1.0 --max-time "$patience" "$gateway/v1/models" >"$work/models" ||
    fail "HTTP/1.0: status $?"
grep -q '"own-name"' "$work/models" || fail "the list of models has not come through"
printf '{"messages":[{"role":"user","content":"%02000000d"}]}' 0 >"$work/large"
for transfer in 'Transfer-Encoding: chunked' 'Expect: 100-continue'; do
    curl --silent --show-error --fail --max-time "$patience" -H "$transfer" -H 'Content-Type: application/json' \
        --data-binary @"$work/large" "$gateway/v1/chat/completions" >"$work/answer" || fail "$transfer: status $?"
    grep -q '"chat.completion"' "$work/answer" || fail "no completion was answered to $transfer"
done

for name in gateway backend; do
    kill -TERM "${pids[$name]}"
    ended "$name"
    expect "the exit status of the $name" "$status" 0
done
echo "curl: plain and streaming chats are the backend's own, byte for byte"
