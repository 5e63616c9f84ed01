"""No message can carry a feature value: every type is walked, and every leaf has a declared kind and a bound."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec.inspect import BoolType, EnumType, FloatType, IntType, LiteralType, NoneType, StrType

from acclimate_shared.messages import down, up
from acclimate_shared.messages.envelope import CARRIES, Envelope
from acclimate_shared.messages.fields import KINDS, Count, Name
from acclimate_shared.messages.topics import Kind
from acclimate_shared.messages.up import Part
from tests.shared.messages.samples import SAMPLES, largest, leaves

LETTERS = {"name", "digest", "version", "reason", "token", "certificate"}


def check(kind: Any) -> int:
    """Hold a type to the laws; return how many leaves it has."""
    count = 0
    for path, info, extra in leaves(kind):
        count += 1
        match info:
            case BoolType() | NoneType() | LiteralType() | EnumType():
                continue
            case StrType():
                assert extra.get("kind") in LETTERS, path
                assert info.pattern, path
                assert info.max_length, path
            case IntType():
                assert extra.get("kind") in KINDS - LETTERS or path.endswith(".schema"), path
                assert path.endswith(".schema") or largest(info) <= 2**53, path
            case FloatType():
                assert extra.get("kind") in {"loss", "resource", "time", "share"}, path
                assert largest(info) <= 1e12, path
            case _:
                pytest.fail(f"{path} is {info}: nothing free may be in a message")
    return count


@pytest.mark.parametrize("kind", CARRIES)
def test_every_leaf_of_every_message_is_declared_and_bounded(kind: Kind) -> None:
    assert check(Envelope[CARRIES[kind][0]]) > 6  # type: ignore[misc]  # chosen by the table


class Free(Part, frozen=True, kw_only=True, tag="free"):
    values: dict[str, float]


class Raw(Part, frozen=True, kw_only=True, tag="raw"):
    data: bytes


class Text(Part, frozen=True, kw_only=True, tag="text"):
    text: str


class Value(Part, frozen=True, kw_only=True, tag="value"):
    value: float


class Labelled(Part, frozen=True, kw_only=True, tag="labelled"):
    value: Annotated[float, msgspec.Meta(ge=0, le=1, extra={"kind": "feature"})]


class Endless(Part, frozen=True, kw_only=True, tag="endless"):
    counts: tuple[Count, ...]


class Open(msgspec.Struct, frozen=True, tag="open"):
    name: Name


@pytest.mark.parametrize("bad", [Free, Raw, Text, Value, Labelled, Endless, Open])
def test_the_walk_fails_on_a_type_that_could(bad: Any) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(bad)


def test_every_type_is_in_the_walk_and_has_a_sample() -> None:
    defined = {
        cls
        for module in (up, down)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Part) and cls.__struct_config__.tag is not None
    }
    assert {type(body) for _, body in SAMPLES} == defined


def test_a_reason_has_no_room_for_a_number() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(
            {"online": True, "agent": "0.1", "cohort": "c", "differs": "value-3.7"} | {"type": "state"}, up.State
        )


@pytest.mark.parametrize("counts", [(31, 0), (0, 1), (0, 0)])
def test_counts_of_a_few_events_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least 32 events"):
        up.FeatureCounts(feature=0, counts=counts)


def test_counts_name_who_declares_their_bins() -> None:
    counts = (up.FeatureCounts(feature=0, counts=(30, 2)),)
    with pytest.raises(ValueError, match="name the release"):
        up.Metrics(start_s=0, end_s=1, schema="a" * 64, features=counts)
