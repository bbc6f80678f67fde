#!/usr/bin/env bash
# The dashboard in a headless Chromium: what it shows is what the API says, its buttons act, a wrong key gets nothing.
#
#     dashboard.sh BIN    the folder with the programs
#
# Debian: chromium chromium-driver. They are too heavy to be installed for this alone: without them it is skipped.
source "$(dirname "${BASH_SOURCE[0]}")/support.bash" "$1"

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
for program in "$chromium" chromedriver python3; do
    if ! command -v "${program:-chromium}" >/dev/null; then
        echo "skipped: ${program:-chromium} is not installed, so the dashboard was not looked at"
        exit 0
    fi
done
export HOME=$work PYTHONDONTWRITEBYTECODE=1

# A name with markup in it, as anybody who may add a backend can choose.
markup='<img src=x onerror=\"document.title=1\">&amp;<b>bold'
backends=
for name in plain "$markup"; do
    start_server "backend${#pids[@]}" "$bin/fairlead-mock-llm" --model m --first-token-ms 1
    backends+="${backends:+,}{\"name\":\"$name\",\"url\":\"$url\",\"model_name\":\"m\"}"
done
readonly key='right ÿ key'
LLM_BACKENDS="[$backends]" FAIRLEAD_ADMIN_KEY=$key \
    start_server gateway "$bin/fairlead-gateway" --listen 127.0.0.1:0 --env-file '' --grace 25
gateway=$url
LLM_BACKENDS="[$backends]" start_server open "$bin/fairlead-gateway" --listen 127.0.0.1:0 --env-file ''
open=$url
start driver chromedriver --port=0
wait_for driver "started successfully on port "
driver=${line##*on port }
# Whoever writes into a full pipe waits.
cat <&"${outputs[driver]}" >/dev/null &
pids[reader]=$!

python3 "$(dirname "${BASH_SOURCE[0]}")/dashboard.py" "http://127.0.0.1:${driver%.}" "$chromium" "$work/profile" \
    "$gateway" "$key" "$open" "${pids[gateway]}" || fail "the dashboard"

# The page was still open when the gateway was told to stop.
ended gateway
expect "the gateway's status" "$status" 0
