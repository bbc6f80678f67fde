#!/usr/bin/env bash
# Shows fairlead at work: three stand-in inference servers of unlike speed, the gateway before them, real requests.
#
#     examples/run-demo.sh           # everything, then cleans up
#     examples/run-demo.sh --keep    # leaves the gateway up, for one's own curl or OpenAI client, until Ctrl-C
#     examples/run-demo.sh --quick   # a few requests only, for a first look and for tests
#     examples/run-demo.sh --bin DIR # with programs that are built already; installs and builds nothing
#
# Installs what is missing with apt (as root or through sudo) and builds in build/demo.
set -euo pipefail

readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly build=$root/build/demo
readonly strategies=(round_robin weighted_round_robin least_connections random consistent_hash response_time)

keep=false
requests=300
bin=
while (($# > 0)); do
    case $1 in
        --keep) keep=true ;;
        --quick) requests=60 ;;
        --bin)
            bin=${2:?--bin needs the folder of the programs}
            shift
            ;;
        -h | --help)
            sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *)
            echo "usage: run-demo.sh [--keep] [--quick] [--bin DIR]" >&2
            exit 2
            ;;
    esac
    shift
done

work=$(mktemp -d)
admin_key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
readonly admin_key
declare -A pids=()
gateway=

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if ((status != 0 && status != 130 && status != 143)) && [[ -s $work/log ]]; then
        echo "--- what the programs said last:" >&2
        tail -n 20 "$work/log" >&2
    fi
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME COMMAND...: runs it in the background and sets `url` when it says that it is listening. All that it says
# goes to the log.
start() {
    local name=$1 line
    shift
    local pipe=$work/$name.pipe
    rm -f "$pipe"
    mkfifo "$pipe"
    "$@" >"$pipe" 2>>"$work/log" &
    pids[$name]=$!
    exec {out}<"$pipe"
    url=
    while read -r -t 20 -u "$out" line; do
        echo "$name: $line" >>"$work/log"
        if [[ $line == *"listening on "* ]]; then
            url=${line##*listening on }
            break
        fi
    done
    if [[ -z $url ]]; then
        echo "run-demo.sh: $name did not start" >&2
        exit 1
    fi
    # Somebody must go on reading, or the program would block when the pipe is full.
    cat <&"$out" >>"$work/log" &
    exec {out}<&-
}

stop() {
    kill -"${2:-TERM}" "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

start_gateway() {
    start gateway env LLM_BACKENDS="$backends" LOAD_BALANCE_STRATEGY="$1" FAIRLEAD_AFFINITY_HEADER=X-User \
        FAIRLEAD_ADMIN_KEY="$admin_key" \
        "$bin/fairlead-gateway" --listen 127.0.0.1:"${2:-0}" --env-file "" --grace 2
    gateway=$url
}

client() {
    "$bin/fairlead-demo-client" --url "$gateway" --backend large --backend medium --backend small \
        --requests "$requests" "$@"
}

# --- build -----------------------------------------------------------------------------------------------------------

build_programs() {
    "$root/cmake/install-packages.sh" demo
    echo "Building the gateway, the stand-in servers and the load client in build/demo ..."
    # make is not among what is installed. A folder that was configured before keeps what it was configured for.
    local generator=(-G Ninja)
    if [[ -f $build/CMakeCache.txt ]]; then generator=(); fi
    {
        cmake -S "$root" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DFAIRLEAD_TESTS=OFF &&
            cmake --build "$build" --parallel "$(nproc)" \
                --target fairlead-gateway fairlead-mock-llm fairlead-demo-client
    } >"$work/build.log" 2>&1 || {
        tail -n 40 "$work/build.log" >&2
        exit 1
    }
    bin=$build/bin
}
if [[ -z $bin ]]; then build_programs; fi
readonly bin

# --- the fleet -------------------------------------------------------------------------------------------------------

# name, weight, milliseconds to the first token, tokens a second
readonly fleet=('large 4 10 800' 'medium 2 20 400' 'small 1 40 200')
backends=
for entry in "${fleet[@]}"; do
    read -r name weight first_token rate <<<"$entry"
    start "$name" "$bin/fairlead-mock-llm" --name "$name" --model demo-model --first-token-ms "$first_token" \
        --tokens-per-second "$rate"
    backends+="${backends:+,}{\"name\":\"$name\",\"url\":\"$url\",\"model_name\":\"demo-model\",\"weight\":$weight}"
done
backends="[$backends]"

cat <<TEXT

Three backends that talk like inference servers: "large" has weight 4 and is fast, "medium" has weight 2 and takes twice
as long, "small" has weight 1 and takes four times as long. $requests chats from 200 users with each strategy, 16 at a
time, every fourth one streamed.

TEXT
client --label 'strategy' --header
printf '%-21s%15s%15s%15s\n' '(share by weight)' '57%' '29%' '14%'
for strategy in "${strategies[@]}"; do
    start_gateway "$strategy"
    client --label "$strategy"
    stop gateway
done

# --- a backend dies ----------------------------------------------------------------------------------------------------

cat <<TEXT

Now "medium" is killed (SIGKILL) while $requests plain chats are under way:

TEXT
start_gateway least_connections
exec {load}< <(client --label 'with one killed' --stream-each 0 --notice-at $((requests / 3)))
readonly load_pid=$!
read -r -t 30 -u "$load" _
stop medium KILL
client --label '' --header
cat <&"$load"
exec {load}<&-
if wait "$load_pid"; then
    echo
    echo "No request failed: those that the killed backend had were sent to the others."
else
    echo
    echo "Requests failed; see above." >&2
    exit 1
fi

if $keep; then
    cat <<TEXT

The gateway stays up, with the two backends that are left, until Ctrl-C. Try

    curl $gateway/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Hello"}], "stream": true}'
    curl -H 'X-API-Key: $admin_key' $gateway/api/v1/load_balancer/status

GATEWAY_URL=$gateway
ADMIN_URL=$gateway
ADMIN_KEY=$admin_key
TEXT
    wait "${pids[gateway]}"
fi
