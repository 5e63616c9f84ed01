import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_shared.container import (
    MAX_INDEX_BYTES,
    Container,
    ContainerError,
    Kind,
    OversizeError,
    TruncatedError,
    pack,
)
from acclimate_shared.errors import DigestError, MissingFileError, NewerFormatError, PackageError

KIND = Kind(magic=b"TESTING1", name=re.compile(r"[a-z]{1,4}"), max_parts=3, max_part_bytes=1000)
GOOD = pack(KIND, {"n": 1}, {"one": b"first", "two": b""})


def opened(data: bytes, kind: Kind = KIND) -> Container:
    return Container(io.BytesIO(data), kind)


def remade(change: Callable[[dict[str, Any]], None], tail: bytes = b"first", **dump: Any) -> bytes:
    """Return GOOD with another index."""
    length = int.from_bytes(GOOD[8:12], "little")
    index = json.loads(GOOD[12 : 12 + length])
    change(index)
    kwargs: dict[str, Any] = {"sort_keys": True, "separators": (",", ":")} | dump
    text = json.dumps(index, **kwargs).encode()
    return KIND.magic + len(text).to_bytes(4, "little") + text + tail


def renamed(name: str) -> bytes:
    return remade(lambda index: index["parts"][0].update(name=name))


def test_reads_what_was_packed() -> None:
    parts = opened(GOOD)
    assert (parts.meta, parts.sizes) == ({"n": 1}, {"one": 5, "two": 0})
    assert (parts.read("one"), parts.read("two")) == (b"first", b"")
    assert parts.read_slice("one", 1, 3) == b"irs"
    assert parts.read_slice("one", 3, 99) == b"st"  # never what lies behind the part
    assert parts.read_slice("one", 9, 5) == b""
    assert remade(lambda _: None) == GOOD


@pytest.mark.parametrize(
    ("data", "error", "field"),
    [
        (b"", TruncatedError, "magic"),
        (GOOD[:10], TruncatedError, "index"),
        (GOOD[:40], TruncatedError, "index"),
        (GOOD[:-1], TruncatedError, "bytes"),
        (b"TESTING2" + GOOD[8:], ContainerError, "magic"),
        (GOOD + b"x", ContainerError, "bytes"),
        (GOOD[:8] + (MAX_INDEX_BYTES + 1).to_bytes(4, "little") + GOOD[12:], OversizeError, "index"),
        (renamed("../x"), ContainerError, "name"),
        (renamed("/etc"), ContainerError, "name"),
        (renamed("one\n"), ContainerError, "name"),
        (renamed("two"), ContainerError, "name"),
        (remade(lambda i: i["parts"][0].update(bytes=-1)), ContainerError, "one"),
        (remade(lambda i: i["parts"][0].update(bytes=1001)), OversizeError, "one"),
        (remade(lambda i: i["parts"][0].update(bytes=True)), ContainerError, "index"),
        (remade(lambda i: i["parts"][0].update(link="two")), ContainerError, "index"),
        (remade(lambda i: i.update(format=2)), NewerFormatError, "format"),
        (remade(lambda i: i.update(format=0)), ContainerError, "index"),
        (remade(lambda i: i.pop("meta")), ContainerError, "index"),
        (remade(lambda i: i.update(extra=1)), ContainerError, "index"),
        (remade(lambda _: None, indent=1), ContainerError, "index"),
        (remade(lambda _: None, separators=(", ", ":")), ContainerError, "index"),
        (remade(lambda i: i["parts"].extend({**i["parts"][1], "name": n} for n in "ab")), OversizeError, "parts"),
    ],
)
def test_whatever_is_wrong_has_its_error(data: bytes, error: type[PackageError], field: str) -> None:
    with pytest.raises(PackageError) as caught:
        opened(data)
    assert type(caught.value) is error
    assert caught.value.field == field


def test_a_part_is_checked_when_it_is_read() -> None:
    parts = opened(GOOD[:-5] + b"fIrst")
    assert parts.read("two") == b""
    with pytest.raises(DigestError, match="does not match"):
        parts.read("one")
    with pytest.raises(MissingFileError):
        parts.read("six")
    with pytest.raises(MissingFileError):
        parts.read_slice("six", 0, 1)


def test_a_file_that_shrinks_while_it_is_read() -> None:
    file = io.BytesIO(GOOD)
    parts = Container(file, KIND)
    file.truncate(len(GOOD) - 2)
    with pytest.raises(TruncatedError):
        parts.read("one")


def test_packing_refuses_what_reading_would() -> None:
    with pytest.raises(ContainerError):
        pack(KIND, {}, {"../x": b""})
    with pytest.raises(OversizeError):
        pack(KIND, {}, {"one": bytes(1001)})


parts_of = st.dictionaries(st.from_regex(KIND.name, fullmatch=True), st.binary(max_size=50), max_size=3)


@settings(max_examples=40)
@given(parts_of, st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53), max_size=3))
def test_any_content_has_one_file(parts: dict[str, bytes], meta: dict[str, int]) -> None:
    data = pack(KIND, meta, parts)
    again = opened(data)
    assert {name: again.read(name) for name in again.sizes} == parts
    assert pack(KIND, dict(reversed(meta.items())), {n: again.read(n) for n in again.sizes}) == data


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_any_changed_byte_is_found(at: int, flip: int) -> None:
    data = bytearray(GOOD)
    data[at] ^= flip
    try:
        parts = opened(bytes(data))
        found = {name: parts.read(name) for name in parts.sizes}
    except PackageError:
        return
    # What the index says freely may change, the names and the number in meta, and with it the digest of the file; not
    # the content of a part.
    assert sorted(found.values()) == [b"", b"first"]
    assert (list(found), parts.meta) != (["one", "two"], {"n": 1})
