"""The page about what travels between device and hub, read from the message types and their topics."""

import types
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from acclimate_shared.messages import fields, limits, topics
from acclimate_shared.messages.envelope import CARRIES, Envelope
from acclimate_tools.docs.markdown import table

Struct = type[msgspec.Struct]
_HEAD = f"""\
# Messages between device and hub

This page is read from the code when the site is built.

All topics are below `{topics.ROOT}/TENANT`. A payload is an [envelope](#envelope) in MessagePack around one of the
types below, of at most the size in the table. A field that is not declared is refused, as is a value outside its
[kind](#kinds-of-value): no type has a place for a feature value. Chunks of bundles and signed metadata are bytes with a
digest, not messages.
"""


def page() -> str:
    """Return the page."""
    carried = {kind: list(_structs(type_)) for kind, (type_, _) in CARRIES.items()}
    parts = [_HEAD, table(("topic", "carries", "bytes at most"), [_topic(kind, carried) for kind in topics.Kind])]
    parts += ["## Envelope\n", _struct(Envelope)]
    told: list[Struct] = []
    for types_ in carried.values():
        for found in types_:
            _gather(found, told)
    parts += [part for found in told for part in (f"## {found.__name__}\n", _struct(found))]
    rows = [(f"`{name}`", *_bounds(type_)) for name, type_ in _KINDS.items()]
    parts += ["## Kinds of value\n", table(("kind", "is", "bounds"), rows), _LIMITS]
    return "\n".join(parts)


def _topic(kind: topics.Kind, carried: Mapping[topics.Kind, list[Struct]]) -> tuple[str, ...]:
    if kind not in carried:
        return f"`{kind.value}`", "bytes with a digest", ""
    names = ", ".join(f"[{found.__name__}](#{found.__name__.lower()})" for found in carried[kind])
    return f"`{kind.value}`", names, f"{CARRIES[kind][1]:,}"


def _structs(found: object) -> Iterator[Struct]:
    """Yield every struct in a type, in order."""
    if isinstance(found, type) and issubclass(found, msgspec.Struct):
        yield found
    for inner in get_args(found):
        yield from _structs(inner)


def _gather(found: Struct, told: list[Struct]) -> None:
    if found in told:
        return
    told.append(found)
    for hint in get_type_hints(found, include_extras=True).values():
        for inner in _structs(hint):
            _gather(inner, told)


def _struct(found: Struct) -> str:
    hints = get_type_hints(found, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(found):
        default = "needed" if field.required else f"`{field.default!r}`"
        rows.append((f"`{field.name}`", _words(hints[field.name]), default))
    return "\n".join([_told(found), table(("field", "holds", "default"), rows)])


def _told(found: Struct) -> str:
    """Return the docstring: what stands under Attributes becomes a list."""
    first, _, attributes = (found.__doc__ or "").partition("Attributes:")
    tag = found.__struct_config__.tag
    lines = [" ".join(first.split()) + (f" Tag: `{tag}`." if tag else ""), ""]
    items: list[str] = []
    for line in attributes.splitlines():
        text = line.strip().replace("``", "`")
        if line.startswith(" " * 12) and items:
            items[-1] += " " + text
        elif text:
            items.append(f"- {text}")
    return "\n".join([*lines, *map(str.rstrip, items), ""])


def _words(hint: Any) -> str:  # noqa: ANN401 - a type of any form
    """Return a type in words."""
    for name, kind in _KINDS.items():
        if hint == kind:
            return f"[{name}](#kinds-of-value)"
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        least, most = inner[1].min_length, inner[1].max_length
        bounds = f"{least or 0} to {most}" if most else f"at least {least}"
        return f"{_words(inner[0])}, {bounds}"
    if origin is tuple:
        return f"list of {_words(inner[0])}"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in {Union, types.UnionType}:
        return " or ".join(_words(one) for one in inner)
    return _named(hint)


def _named(hint: object) -> str:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{one.value}`" for one in hint)
    return {bool: "true or false", int: "whole number"}.get(cast("type", hint), "one of the messages below")


def _bounds(kind: Any) -> tuple[str, str]:  # noqa: ANN401 - an annotated type
    plain, meta = get_args(kind)[:2]
    what = f"{plain.__name__}, a {(meta.extra or {})['kind']}"
    if meta.pattern:
        return what, f"`{meta.pattern}`, at most {meta.max_length:,} characters"
    bounds = (("from", meta.ge), ("to", meta.le), ("below", meta.lt))
    return what, " ".join(f"{word} {value:,}" for word, value in bounds if value is not None)


def _is_kind(found: object) -> bool:
    return get_origin(found) is Annotated and any(isinstance(one, Meta) for one in get_args(found))


_KINDS: dict[str, Any] = {name: found for name, found in vars(fields).items() if name[0].isupper() and _is_kind(found)}
_LIMITS = f"""\
Counts of one feature stand for at least {limits.MIN_COUNTED} events, and a score for at least {limits.MIN_LABELS}
labels. A device's events go to one of {limits.SHARDS} shards of the `up` topic, `crc32(device) % {limits.SHARDS}`.
"""
