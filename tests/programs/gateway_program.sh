#!/usr/bin/env bash
# The finished programs as an operator meets them: options, settings and where they come from, exit statuses, signals.
#
#     tests/programs/gateway_program.sh build/dev/bin
source "$(dirname "${BASH_SOURCE[0]}")/support.bash" "$@"
command -v curl >/dev/null || fail "curl is missing: cmake/install-packages.sh tests"
readonly gateway_program=$bin/fairlead-gateway
cd "$work" # without a .env

# --- options ---------------------------------------------------------------------------------------------------------

for program in fairlead-gateway fairlead-mock-llm; do
    for options in --no-such-option '--listen' '--help=x --no-such' 'stray'; do
        # Split at the blank on purpose.
        # shellcheck disable=SC2086
        run "$bin/$program" $options
        expect "the status of $program $options" "$status" 2
        [[ $said == "$program: "*"; see $program --help" ]] || fail "$program $options says: $said"
    done
    run "$bin/$program" --version
    expect "the status of $program --version" "$status" 0
    [[ $said =~ ^$program\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "$program --version says: $said"
    run "$bin/$program" --help
    expect "the status of $program --help" "$status" 0
    [[ $said == *--listen* ]] || fail "$program --help does not name --listen"
done
for option in --threads=0 --threads=x --grace=-1 --log-format=xml --check=yes; do
    run "$gateway_program" "$option"
    expect "the status of $option" "$status" 2
done
help=$("$gateway_program" --help)
[[ $help == *LLM_BACKENDS*FAIRLEAD_QUEUE_LIMIT* ]] || fail "--help does not list the settings"
[[ $help == *"FAIRLEAD_MAX_BODY_BYTES (bytes)"* ]] || fail "--help does not tell what a setting is counted in"
help=$(LC_ALL=zh_CN.UTF-8 "$gateway_program" --help)
[[ $help == *"FAIRLEAD_MAX_BODY_BYTES (字节)"* ]] || fail "--help does not tell it in Chinese"

# --- --check ---------------------------------------------------------------------------------------------------------

# backends N: an array of so many.
backends() {
    local i list=
    for ((i = 0; i < $1; ++i)); do list+="${list:+,}{\"name\":\"b$i\",\"url\":\"http://127.0.0.1:1\"}"; done
    echo "[$list]"
}

run env LLM_BACKENDS="$(backends 3)" "$gateway_program" --check
expect "the status of --check" "$status" 0
expect "what --check says" "$said" "load balancing is on with 3 backends"

run env LLM_BACKENDS='[{"name":"a","url":"http://h"},{"name":"a","weight":0,"ulr":"x"}]' MAX_RETRIES=-1 \
    LOAD_BALANCE_STRATEGY=fastest FAIRLEAD_NO_SUCH=1 "$gateway_program" --check
expect "the status of --check with bad settings" "$status" 2
for problem in 'LLM_BACKENDS[1].url: is missing' 'LLM_BACKENDS[1].weight: must be 1..65535, got 0' 'LLM_BACKENDS[1].ulr' \
    'LLM_BACKENDS[1].name: "a" is the name of LLM_BACKENDS[0]' 'MAX_RETRIES: must be >= 0, got -1' \
    'unknown strategy "fastest"; known are: round_robin, ' FAIRLEAD_NO_SUCH; do
    [[ $said == *"$problem"* ]] || fail "--check does not name the problem: $problem; it says: $said"
done
run env LLM_BACKENDS='[' "$gateway_program"
expect "the status of a start with bad settings" "$status" 2
run "$gateway_program" --check --settings /no/such/file
expect "the status of a settings file that is not there" "$status" 2
run "$gateway_program" --check --env-file /no/such/file
expect "the status of an --env-file that is not there" "$status" 2

# --- where settings come from ----------------------------------------------------------------------------------------

# mode_with COMMAND...: what --check says of the mode.
mode_with() {
    run env "$@" --check
    expect "the status of $*" "$status" 0
}
printf '{"llm_backends": %s, "max_retries": 1}' "$(backends 2)" >settings.json
printf "export LLM_BACKENDS='%s'\n" "$(backends 3)" >other.env
printf "LLM_BACKENDS='%s'\n" "$(backends 4)" >.env
mode_with "$gateway_program" --settings settings.json --env-file ""
expect "the settings file alone" "$said" "load balancing is on with 2 backends"
mode_with "$gateway_program" --settings settings.json --env-file other.env
expect "the dotenv file before the settings file" "$said" "load balancing is on with 3 backends"
mode_with "$gateway_program" --settings settings.json
expect ".env before the settings file" "$said" "load balancing is on with 4 backends"
mode_with LLM_BACKENDS="$(backends 5)" "$gateway_program" --settings settings.json --env-file other.env
expect "the environment before both" "$said" "load balancing is on with 5 backends"
# Each setting by itself: a value of the file counts beside those of the others.
printf '{"llm_backends": %s, "max_retries": "many"}' "$(backends 2)" >settings.json
run env LLM_BACKENDS="$(backends 5)" "$gateway_program" --settings settings.json --env-file other.env --check
expect "the status with a bad value in the settings file" "$status" 2
[[ $said == *max_retries* || $said == *MAX_RETRIES* ]] || fail "the bad value is not named: $said"
mode_with MAX_RETRIES=1 LLM_BACKENDS="$(backends 5)" "$gateway_program" --settings settings.json --env-file other.env
rm .env other.env settings.json

# --- start -----------------------------------------------------------------------------------------------------------

start_server backend "$bin/fairlead-mock-llm" --name one --model m --tokens-per-second 40
backend=$url
# One token at once, the next after hours.
start_server endless "$bin/fairlead-mock-llm" --name two --model m --tokens-per-second 0.0001
endless=$url

# gateway URL OPTION...: one before that backend; sets $gateway.
gateway() {
    local common="\"url\":\"$1\",\"model_name\":\"m\""
    shift
    start gateway env LLM_BACKENDS="[{\"name\":\"a\",$common},{\"name\":\"b\",$common}]" \
        "$gateway_program" --listen 127.0.0.1:0 "$@"
    next_line gateway
    expect "the first line" "$line" "load balancing is on with 2 backends"
    next_line gateway
    [[ $line =~ ^listening\ on\ (http://127\.0\.0\.1:[0-9]+)$ ]] || fail "the second line is: $line"
    gateway=${BASH_REMATCH[1]}
}

# open_stream: begins a chat whose first token has come when it returns.
open_stream() {
    start stream curl --silent --no-buffer --max-time 60 "$gateway/v1/chat/completions" \
        -d '{"messages":[{"role":"user","content":"Hello"}],"stream":true}'
    wait_for stream '"content"'
}
refuses_connections() {
    run curl --silent --max-time "$patience" "$gateway/health"
    expect "the status of curl to a gateway that is told to stop" "$status" 7
}

gateway "$backend" --threads 3
# The threads start behind the line that says where it listens. None more writes the log while that is read.
((patience_ends = SECONDS + patience))
until threads=(/proc/"${pids[gateway]}"/task/*) && ((${#threads[@]} == 3)); do
    ((SECONDS < patience_ends)) || fail "--threads 3 runs ${#threads[@]} threads"
    curl --silent --fail --output /dev/null "$gateway/health" || fail "/health: status $?"
done

run env VLLM_SERVER_URL="$backend" "$gateway_program" --env-file "" --listen "${gateway#http://}"
expect "the status when the port is taken" "$status" 1
[[ $said == *"cannot listen on ${gateway#http://}"* ]] || fail "the taken port is not named: $said"

run timeout "$patience" env VLLM_SERVER_URL="$backend" "$gateway_program" --env-file "" --listen 127.0.0.1:99999
expect "the status of a port that there is not" "$status" 1
[[ $said == *'HOST:PORT, got "127.0.0.1:99999"'* ]] || fail "such a port is not named: $said"

# --- signals ---------------------------------------------------------------------------------------------------------

# A stream ends in its own time; no new connection is taken meanwhile.
open_stream
kill -TERM "${pids[gateway]}"
wait_for gateway "stopping"
refuses_connections
ended stream
expect "the status of a stream while the gateway stops" "$status" 0
[[ $rest == *'data: [DONE]'* ]] || fail "the stream did not come to its end: $rest"
ended gateway
expect "the gateway's status" "$status" 0
expect "its last line" "${rest%$'\n'}" stopped

# One that does not end is broken off after --grace, and so at once for a second signal.
broken_off() {
    ended stream
    ((status != 0)) || fail "curl took a stream that was broken off for complete: $1"
    ended gateway
    expect "the gateway's status $1" "$status" 0
    expect "its last line $1" "${rest%$'\n'}" stopped
}
gateway "$endless" --grace 1
open_stream
kill -TERM "${pids[gateway]}"
wait_for gateway "stopping; 1 connections are open"
broken_off "after --grace"

for signal in TERM INT; do
    gateway "$endless" --grace 86400
    open_stream
    kill -"$signal" "${pids[gateway]}"
    wait_for gateway "stopping"
    refuses_connections
    kill -"$signal" "${pids[gateway]}"
    broken_off "after a second SIG$signal"
done

# Whoever reads the log may go: what is to be logged then is lost, and requests are answered as before.
gateway "$backend" --access-log
descriptor=${outputs[gateway]}
exec {descriptor}<&-
for _ in 1 2; do
    run curl --silent --fail --max-time "$patience" --output /dev/null "$gateway/v1/models"
    expect "the status of curl when nobody reads the gateway's log any more" "$status" 0
done
kill -TERM "${pids[gateway]}"
status=0
wait "${pids[gateway]}" || status=$?
expect "the status of a gateway whose log nobody reads any more" "$status" 0
unset "pids[gateway]" "outputs[gateway]"

# A log that is there and not read, with more than a pipe takes in (64 KiB), holds up neither requests nor the end.
gateway "$backend" --access-log
# Each makes a line of 4,000 bytes.
run curl --silent --fail --max-time "$patience" --output /dev/null "$gateway/v1/models?$(printf %04000d 0)[1-40]"
expect "the status of curl when the log is not read" "$status" 0
kill -TERM "${pids[gateway]}"
status=0
wait "${pids[gateway]}" || status=$?
expect "the status of a gateway whose log is not read" "$status" 0
wait_for gateway "target=/v1/models"
forget gateway

# Clients that are connected and ask for nothing leave enough descriptors for whoever does, and for the backends.
start gateway bash -c 'ulimit -Sn 64 && ulimit -Hn 256 && exec "$@"' gateway env \
    LLM_BACKENDS="[{\"name\":\"a\",\"url\":\"$backend\"}]" "$gateway_program" --listen 127.0.0.1:0
wait_for gateway "listening on "
gateway=${line##*listening on }
read -r _ _ _ soft hard _ < <(grep '^Max open files' "/proc/${pids[gateway]}/limits")
expect "the soft limit of open files" "$soft" "$hard"
idle=()
for _ in {1..300}; do
    exec {descriptor}<>"/dev/tcp/127.0.0.1/${gateway##*:}"
    idle+=("$descriptor")
done
for _ in 1 2; do
    run curl --silent --fail --max-time "$patience" --output /dev/null "$gateway/v1/models"
    expect "the status of curl beside 300 idle clients" "$status" 0
done
for descriptor in "${idle[@]}"; do exec {descriptor}<&-; done
kill -TERM "${pids[gateway]}"
ended gateway
expect "the status of a gateway with idle clients" "$status" 0

# With nothing under way it ends at once, whatever --grace says; so does the stand-in.
gateway "$backend" --grace 86400
kill -INT "${pids[gateway]}"
ended gateway
expect "the status of an idle gateway" "$status" 0
for name in backend endless; do
    kill -TERM "${pids[$name]}"
    ended "$name"
    expect "the exit status of $name" "$status" 0
done
echo "gateway_program: options, settings, start and stop are as promised"
