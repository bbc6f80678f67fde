#!/usr/bin/env bash
# The simulator plays the trace that comes with it, and tells the same in its table, its JSON and its picture; a trace
# that it wrote plays as the generator's own; what is wrong with a file is said with its line.
#
#     tests/programs/simulator.sh build/dev/bin
source "$(dirname "${BASH_SOURCE[0]}")/support.bash" "$@"
simulator=$bin/fairlead-simulator
trace=$(dirname "${BASH_SOURCE[0]}")/../../examples/simulator/chat-traffic.jsonl

"$simulator" --trace "$trace" --strategies least_connections,consistent_hash --load 0.7,1 --json "$work/figures.json" \
    --svg "$work/figures.svg" >"$work/table" || fail "it does not play its own trace"
expect "requests of the trace" "$(head -n 1 "$work/table" | cut -d ' ' -f 1-2)" "3000 requests"
expect "rows of the table" "$(grep -c '^\(least_connections\|consistent_hash\) ' "$work/table")" 4
expect "rows of the JSON" "$(grep -c '"strategy":' "$work/figures.json")" 4
expect "bars of the picture" "$(grep -c '<rect' "$work/figures.svg")" $((4 * 5 + 2))
mean=$(grep -m 1 '"mean":' "$work/figures.json" | grep -o '[0-9.]*')
grep -q "$(printf '%.2f' "$mean")" "$work/table" || fail "table and JSON differ: $mean"

# Picks' times differ from run to run; everything else must not.
figures() { "$simulator" --generate 300 --seed 7 --strategies random --json - "$@" | grep -v pick_nanoseconds; }
figures >"$work/generated"
"$simulator" --generate 300 --seed 7 --write-trace "$work/trace.jsonl" || fail "it does not write a trace"
figures --trace "$work/trace.jsonl" >"$work/read"
cmp "$work/generated" "$work/read" || fail "a written trace plays unlike the generated one"

echo '{"timestamp": 1, "input_length": 5, "output_length": "x", "hash_ids": [1]}' >"$work/bad.jsonl"
status=0
"$simulator" --trace "$work/bad.jsonl" 2>"$work/bad.err" || status=$?
expect "status of a bad trace" "$status" 1
grep -q 'bad.jsonl:1: output_length must be a number' "$work/bad.err" || fail "$(cat "$work/bad.err")"
echo "the simulator plays, writes and refuses"
