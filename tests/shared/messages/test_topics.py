import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_shared.errors import MessageError, UsageError
from acclimate_shared.messages.topics import ROOT, Kind, build, parse, shard_of, subscription, up

VALUES = {
    "device": "gw-1",
    "shard": "38",
    "digest": "a" * 64,
    "cohort": "shop_3",
    "name": "1.root.json",
    "nonce": "0" * 32,
}
SHAPES = [(kind, {name: value for name, value in VALUES.items() if f"{{{name}}}" in kind.value}) for kind in Kind]


@pytest.mark.parametrize(("kind", "values"), SHAPES)
def test_a_topic_is_parsed_to_what_it_was_built_from(kind: Kind, values: dict[str, str]) -> None:
    topic = parse(build("main", kind, **values))
    assert (topic.tenant, topic.kind, dict(topic.values)) == ("main", kind, values)


@pytest.mark.parametrize(("kind", "values"), SHAPES)
def test_wildcards_and_levels_cannot_be_smuggled_in(kind: Kind, values: dict[str, str]) -> None:
    for name in values:
        for bad in ("+", "#", "a/b", "", "x\n", "é", "$x", "a" * 300):
            with pytest.raises(UsageError):
                build("main", kind, **values | {name: bad})
    for tenant in ("+", "a/b", "Main", ""):
        with pytest.raises(UsageError):
            build(tenant, kind, **values)


def test_a_topic_has_exactly_its_variables() -> None:
    for values in ({}, {"device": "a", "shard": "1"}):
        with pytest.raises(UsageError):
            build("main", Kind.STATE, **values)


@pytest.mark.parametrize(
    "text",
    [
        "", "acclimate", f"{ROOT}/main", f"{ROOT}/main/d/gw-1/up/61", f"{ROOT}/main/d/gw-1/up/062", "x" * 70_000,
        f"{ROOT}/main/d/gw-1/state/", f"{ROOT}/main/d/+/state", f"{ROOT}/main/d/gw-1/state\n", f"{ROOT}/MAIN/d/a/state",
        "acclimate/v2/main/d/gw-1/state", f"{ROOT}/main/b/{'a' * 64}/want/64", f"{ROOT}/main/d/_hub/state",
    ],
)  # fmt: skip
def test_other_topics_are_refused(text: str) -> None:
    with pytest.raises(MessageError):
        parse(text)


@given(st.text(max_size=80))
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        parse(f"{ROOT}/{text}")


@given(st.from_regex(r"[a-z0-9][a-z0-9\-]{0,20}", fullmatch=True))
def test_a_device_has_one_shard_for_ever(device: str) -> None:
    assert shard_of(device) == zlib.crc32(device.encode("ascii")) % 64
    assert parse(up("main", device)).values["shard"] == str(shard_of(device))


def test_shards_are_used_evenly() -> None:
    counts = [0] * 64
    for at in range(6400):
        counts[shard_of(f"device-{at}")] += 1
    assert min(counts) > 50
    assert max(counts) < 160


def test_filters_match_every_value_that_is_not_given() -> None:
    assert subscription("main", Kind.UP, shard="5") == f"{ROOT}/main/d/+/up/5"
    assert subscription("main", Kind.ENROL_REQUEST) == f"{ROOT}/main/enrol/req/+"
    with pytest.raises(UsageError):
        subscription("main", Kind.UP, shard="#")
