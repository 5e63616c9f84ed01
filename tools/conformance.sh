#!/bin/sh
# Proves that the local protocol (docs/local-protocol.md) needs no library: a shell and nc (or socat) are enough.
# Asks a running agent of the task "classification" for every operation, an error and a batch.
# Usage: conformance.sh SOCKET. Exit codes: 0 all is as documented, 1 something is not, 2 wrong usage or no client.
set -u
socket=${1:?name the socket}
run=$$-$(date +%s)
failed=0
count=0

if command -v nc > /dev/null && nc -h 2>&1 | grep -q 'Unix\|UNIX'; then
    exchange() { nc -N -U "$socket"; }
elif command -v socat > /dev/null; then
    exchange() { socat -t 10 - "UNIX-CONNECT:$socket"; }
else
    echo "conformance: neither nc with -U nor socat is here; install netcat-openbsd" >&2
    exit 2
fi

# expect NAME REQUEST PATTERN... : the answer holds every pattern of grep, in any order.
expect() {
    name=$1
    answer=$(printf '%s\n' "$2" | exchange)
    shift 2
    count=$((count + 1))
    for pattern in "$@"; do
        if ! printf '%s\n' "$answer" | grep -q -- "$pattern"; then
            echo "not ok $count - $name: no $pattern in: $answer"
            failed=1
            return
        fi
    done
    echo "ok $count - $name"
}

expect predict "{\"op\":\"predict\",\"id\":1,\"event\":\"$run-a\",\"features\":{\"load\":0.7,\"room\":\"hall\"}}" \
    '^{"id":1,"ok":true,' "\"event\":\"$run-a\"" '"version":"'
expect 'predict, a feature that is not known' "{\"op\":\"predict\",\"event\":\"$run-b\",\"features\":{\"load\":null}}" \
    '"ok":true'
expect feedback "{\"op\":\"feedback\",\"id\":\"two\",\"event\":\"$run-a\",\"label\":\"busy\"}" \
    '^{"id":"two","ok":true,' "\"event\":\"$run-a\""
expect 'feedback with everything' \
    "{\"op\":\"feedback\",\"event\":\"$run-b\",\"label\":\"calm\",\"weight\":0.5,\"source\":\"\",\"time_s\":null}" '"ok":true'
expect 'a second label is refused' "{\"op\":\"feedback\",\"event\":\"$run-a\",\"label\":\"busy\"}" \
    '"ok":false' '"kind":"duplicate-label"' '"retry":false'
expect 'a label for nothing is refused' '{"op":"feedback","event":"never asked","label":"busy"}' \
    '"ok":false' '"kind":"unknown-prediction"'
expect predict_many '{"op":"predict_many","id":3,"rows":[{"load":0.1},{"load":0.9}]}' \
    '^{"id":3,"ok":true,' '"answers":\[{"event":"' '},{"event":"'
expect feedback_many \
    "{\"op\":\"feedback_many\",\"labels\":[{\"event\":\"$run-a\",\"label\":\"busy\"},{\"event\":\"$run-x\",\"label\":\"calm\"}]}" \
    '"ok":false' '"errors":\[{"kind":"duplicate-label"' '{"kind":"unknown-prediction"'
expect status '{"op":"status","id":4}' '^{"id":4,"ok":true,' '"status":{' '"learned":' '"local":{'
expect 'an unknown operation' '{"op":"forget","id":5}' '^{"id":5,"ok":false,' '"kind":"message"' '"field":"op"' '"remedy":"use '
expect 'an unknown field' '{"op":"status","colour":"red"}' '"ok":false' '"field":"colour"'
expect 'no JSON' 'hello' '^{"id":null,"ok":false,' '"field":"line"'
expect 'several requests on one connection, answered in order' '{"op":"status","id":6}
{"op":"nothing","id":7}
{"op":"status","id":8}' '^{"id":6,"ok":true' '^{"id":7,"ok":false' '^{"id":8,"ok":true'

echo "1..$count"
exit $failed
