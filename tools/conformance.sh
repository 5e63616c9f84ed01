#!/bin/sh
# Proves that the local protocol (docs/local-protocol.md) needs no library: a shell and nc (or socat) are enough.
# Asks a running agent of the task "classification" for every operation, an error and a batch. With the place of a
# broker it asks over topics too, which needs mosquitto_rr and mosquitto_sub (Debian: mosquitto-clients).
# Usage: conformance.sh SOCKET [HOST PORT [PREFIX]]
# Exit codes: 0 all is as documented, 1 something is not, 2 wrong usage or no client.
set -u
socket=${1:?name the socket}
host=${2:-}
port=${3:-1883}
prefix=${4:-acclimate}
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

if [ -n "$host" ]; then
    if ! command -v mosquitto_rr > /dev/null; then
        echo "conformance: mosquitto_rr is not here; install mosquitto-clients" >&2
        exit 2
    fi
    client=conformance-$run
    # Listens for the answer, sends the request, waits for one message: plain MQTT 3.1.1.
    exchange() {
        mosquitto_rr -V mqttv311 -h "$host" -p "$port" -q 1 -W 10 \
            -t "$prefix/$op/$client" -e "$prefix/answer/$client" -m "$(cat)"
    }
    op=predict
    expect 'predict, by its topic' "{\"id\":9,\"event\":\"$run-t\",\"features\":{\"load\":0.7,\"room\":\"hall\"}}" \
        '^{"id":9,"ok":true,' "\"event\":\"$run-t\""
    expect 'the operation of another topic' '{"op":"status"}' '"ok":false' '"field":"op"' '"remedy":"use predict'
    expect 'no JSON, by a topic' 'hello' '^{"id":null,"ok":false,' '"field":"line"'
    op=feedback
    expect 'feedback, by its topic' "{\"id\":\"ten\",\"event\":\"$run-t\",\"label\":\"busy\"}" '^{"id":"ten","ok":true,'
    expect 'a label that comes twice' "{\"event\":\"$run-t\",\"label\":\"busy\"}" '"kind":"duplicate-label"'
    op=predict_many
    expect 'predict_many, by its topic' '{"rows":[{"load":0.1},{"load":0.9}]}' '"ok":true' '"answers":\[{"event":"'
    op=feedback_many
    expect 'feedback_many, by its topic' "{\"labels\":[{\"event\":\"$run-x\",\"label\":\"calm\"}]}" \
        '"ok":false' '{"kind":"unknown-prediction"'
    op=status
    expect 'status, by its topic' '{}' '"status":{' '"broker":{"connected":true,'
    exchange() { cat > /dev/null && mosquitto_sub -V mqttv311 -h "$host" -p "$port" -t "$prefix/online" -C 1 -W 10; }
    expect 'whether it is there' '' '^true$'
fi

echo "1..$count"
exit $failed
