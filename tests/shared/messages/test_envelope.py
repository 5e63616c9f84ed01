import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_shared.errors import MessageError, NewerMessageError
from acclimate_shared.lineage import Change, Lineage, Window
from acclimate_shared.messages import down, limits, up
from acclimate_shared.messages.envelope import CARRIES, decode, encode, message_id
from acclimate_shared.messages.topics import Kind
from tests.shared.messages.samples import BLOCK, DESIRED, METRICS, SAMPLES, D, wrapped


@pytest.mark.parametrize(("kind", "body"), SAMPLES)
@pytest.mark.parametrize("debug", [False, True])
def test_every_message_survives_the_wire(kind: Kind, body: Any, debug: bool) -> None:
    sent = wrapped(body)
    payload = encode(sent, kind, debug=debug)
    assert decode(payload, kind, debug=debug) == sent
    with pytest.raises(MessageError):
        decode(payload, kind, debug=not debug)


@pytest.mark.parametrize(("kind", "body"), SAMPLES)
def test_a_message_on_another_kind_of_topic_is_refused(kind: Kind, body: Any) -> None:
    payload = encode(wrapped(body), kind)
    for other in set(Kind) - {kind}:
        with pytest.raises(MessageError):
            decode(payload, other)


def edited(**changes: Any) -> bytes:
    fields = msgspec.to_builtins(wrapped(BLOCK))
    body = changes.pop("body", {})
    return msgspec.msgpack.encode(fields | changes | {"body": fields["body"] | body})


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"id": "x"},
        {"sequence": 0},
        {"sequence": 1.0},
        {"time_s": float("nan")},
        {"time_s": float("inf")},
        {"sender": "a/b"},
        {"boot": "B" * 16},
        {"body": {"values": [1.5]}},
        {"body": {"type": "raw"}},
        {"body": {"labels": -1}},
        {"body": {"gain": 10.5}},
        {"body": {"crashes": 13}},
        {"body": {"gain": float("nan")}},
        {"body": {"stage": "../../etc"}},
        {"body": {"rollout": "r1\n"}},
    ],
)
def test_what_is_not_exactly_a_message_is_refused(changes: dict[str, Any]) -> None:
    assert decode(edited(), Kind.UP).body == BLOCK
    with pytest.raises(MessageError):
        decode(edited(**changes), Kind.UP)


@pytest.mark.parametrize("schema", [0, 2, 99, -1])
def test_another_schema_version_is_refused_as_such_whatever_else_it_holds(schema: int) -> None:
    for payload in (edited(schema=schema), msgspec.msgpack.encode({"schema": schema, "all": "new"})):
        with pytest.raises(NewerMessageError, match="update the older side"):
            decode(payload, Kind.UP)


@pytest.mark.parametrize("kind", CARRIES)
def test_too_large_is_refused_before_it_is_read(kind: Kind) -> None:
    with pytest.raises(MessageError, match="at most"):
        decode(b"\x80" * (CARRIES[kind][1] + 1), kind)


def test_the_largest_desired_document_fits_its_limit() -> None:
    name = "r" * limits.MAX_NAME
    desired = msgspec.structs.replace(DESIRED, rollout=name, salt=name, cohort=name, number=2**53, attempt=2**53)
    assert len(encode(wrapped(desired, sender=name), Kind.DESIRED)) < limits.MAX_DESIRED_BYTES / 2


def test_a_usual_day_of_metrics_is_small() -> None:
    assert len(encode(wrapped(METRICS), Kind.UP)) < 1000


def test_encode_refuses_what_the_other_side_would() -> None:
    many = msgspec.structs.replace(METRICS, scores=METRICS.scores * (limits.MAX_SCORES + 1))
    for body in (many, msgspec.structs.replace(METRICS, schema="x"), down.Rebirth(expires_s=1.0)):
        with pytest.raises(MessageError):
            encode(wrapped(body), Kind.UP)


@given(st.sampled_from(list(Kind)), st.binary(max_size=300), st.booleans())
def test_arbitrary_bytes_never_crash(kind: Kind, data: bytes, debug: bool) -> None:
    with pytest.raises(MessageError):
        decode(data, kind, debug=debug)


@given(st.sampled_from(SAMPLES), st.data())
def test_damaged_messages_are_read_or_refused(sample: tuple[Kind, Any], data: st.DataObject) -> None:
    payload = bytearray(encode(wrapped(sample[1]), sample[0]))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = decode(bytes(payload), sample[0])
    except MessageError:
        return
    assert encode(again, sample[0])


@pytest.mark.parametrize("head", [b"\xdd", b"\xdf", b"\xc6", b"\xdb"])
def test_a_length_that_lies_takes_no_memory(head: bytes) -> None:
    lies = [head + b"\x7f\xff\xff\xff", b"\x82\xa6schema\x01\xa4body" + head + b"\x7f\xff\xff\xff", b"\x91" * 60_000]
    lies.append(edited()[:-20] + head + b"\x7f\xff\xff\xff")
    tracemalloc.start()
    for lie in lies:
        with pytest.raises(MessageError):
            decode(lie, Kind.UP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_lineage_record_leaves_without_events_people_and_reasons() -> None:
    lineage = Lineage()
    facts = {"model": "a" * 64, "graph": "b" * 64, "schema": "c" * 64, "time_s": 5.0}
    lineage.append(Change(kind="start", **facts))  # type: ignore[arg-type]
    window = Window(first="patient-17", last="patient-20", labels=4)
    more = {"window": window, "who": "Ada", "reason": "weight 81.5", "parents": (lineage.head,)}
    record = lineage.append(Change(kind="override", **facts, **more))  # type: ignore[arg-type]
    sent = up.LineageRecord.of(record, bundle=D)
    payload = encode(wrapped(sent), Kind.UP)
    assert decode(payload, Kind.UP).body == sent
    assert (sent.digest, sent.labels, sent.parents, sent.bundle) == (record.digest, 4, record.parents, D)
    assert not any(secret in payload for secret in (b"patient", b"Ada", b"81.5"))


def test_ids_are_new_each_time() -> None:
    assert len({message_id() for _ in range(100)}) == 100
