# For the scripts here: starts the finished programs, waits for what they say, ends them. Nothing sleeps: whoever waits
# reads a line or a program's end, and gives up after $patience seconds.
#
#     source "$(dirname "${BASH_SOURCE[0]}")/support.bash" "$1"     # sets $bin and $work
set -euo pipefail
bin=$(cd "${1:?the folder with the programs is missing}" && pwd)
readonly bin
readonly patience=30

# Nothing of the caller's settings may reach the programs.
unset "${!FAIRLEAD_@}" "${!LLM_@}" "${!LOAD_BALANCE_@}" "${!HEALTH_CHECK_@}" VLLM_SERVER_URL MODEL_NAME API_KEY \
    MAX_RETRIES FAILURE_THRESHOLD http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
export LC_ALL=C.UTF-8

work=$(mktemp -d)
readonly work
declare -A pids=() outputs=()

clean_up() {
    local status=$? pid
    trap - EXIT
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "FAILED: $*" >&2
    tail -n 20 "$work"/*.err >&2 2>/dev/null || true
    exit 1
}

# expect WHAT ACTUAL WANTED
expect() { [[ $2 == "$3" ]] || fail "$1: got \"$2\", not \"$3\""; }

# start NAME COMMAND...: runs it in the background; `next_line` reads what it says, $work/NAME.err holds its complaints.
start() {
    local name=$1 descriptor
    shift
    mkfifo "$work/$name.pipe"
    "$@" >"$work/$name.pipe" 2>"$work/$name.err" &
    pids[$name]=$!
    exec {descriptor}<"$work/$name.pipe"
    outputs[$name]=$descriptor
    rm "$work/$name.pipe"
}

# next_line NAME: sets $line.
next_line() { IFS= read -r -t "$patience" -u "${outputs[$1]}" line || fail "$1 says nothing more"; }

# wait_for NAME TEXT: reads lines until one holds the text, and leaves it in $line.
wait_for() {
    while next_line "$1"; do
        if [[ $line == *"$2"* ]]; then return; fi
    done
}

# start_server NAME COMMAND...: sets $url when it listens.
start_server() {
    start "$@"
    wait_for "$1" "listening on "
    url=${line##*listening on }
}

# ended NAME: waits for its end; sets $status, and $rest to what it still said.
ended() {
    local name=$1 got=0
    rest=
    while IFS= read -r -t "$patience" -u "${outputs[$name]}" line || { got=$?; false; }; do rest+=$line$'\n'; done
    if ((got > 128)); then fail "$name does not end"; fi
    status=0
    wait "${pids[$name]}" || status=$?
    forget "$name"
}

forget() {
    local descriptor=${outputs[$1]}
    exec {descriptor}<&-
    unset "outputs[$1]" "pids[$1]"
}

# run COMMAND...: to its end; sets $status, and $said to all that it said.
run() {
    status=0
    said=$("$@" 2>&1) || status=$?
}
