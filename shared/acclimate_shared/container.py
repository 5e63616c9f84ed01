"""A file of named parts, read without trust: bundles and update files are laid out like this.

    8 bytes   magic, one for each kind of file
    4 bytes   length of the index, little-endian
    index     canonical JSON: format, meta, and name, bytes and sha256 of each part
    parts     one behind the other in order of the index, no gap and nothing behind the last

There is one file for one content: an index that is not in canonical form is refused. Names are looked up in a table of
the kind, never used as paths, so there is nothing to traverse or to link to. Whatever is wrong is a ``PackageError``,
before anything of that size was allocated.

Example:
    >>> kind = Kind(magic=b"EXAMPLE1", name=re.compile("[a-z]+"), max_parts=4, max_part_bytes=1 << 20)
    >>> data = pack(kind, {"about": "two words"}, {"one": b"1", "two": b"2"})
    >>> parts = Container(io.BytesIO(data), kind)
    >>> parts.meta, parts.read("two")
    ({'about': 'two words'}, b'2')
"""

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from acclimate_shared.errors import DigestError, MissingFileError, NewerFormatError, PackageError

FORMAT = 1
MAGIC_BYTES = 8
MAX_INDEX_BYTES = 1 << 18
_LENGTH_BYTES = 4
_REMEDY = "fetch or build the file again"


class ContainerError(PackageError):
    """A file is not laid out as its kind demands."""


class TruncatedError(ContainerError):
    """A file ends too early."""


class OversizeError(ContainerError):
    """A file, or a part of it, is larger than its kind allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of file: its magic, what its parts are called, how many they may be and how large each."""

    magic: bytes
    name: re.Pattern[str]
    max_parts: int
    max_part_bytes: int


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the index."""

    name: str
    bytes: int
    sha256: str


class _Index(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The index of a file."""

    format: int
    meta: dict[str, Any]
    parts: tuple[_Part, ...]


def pack(kind: Kind, meta: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """Return the file of these parts, in the order given.

    Raises:
        ContainerError: If the reader would refuse it.
    """
    lines = tuple(_Part(name=n, bytes=len(b), sha256=hashlib.sha256(b).hexdigest()) for n, b in parts.items())
    index = msgspec.json.encode(_Index(format=FORMAT, meta=dict(meta), parts=lines), order="sorted")
    data = b"".join([kind.magic, len(index).to_bytes(_LENGTH_BYTES, "little"), index, *parts.values()])
    Container(io.BytesIO(data), kind)
    return data


class Container:
    """The parts of a file, each read and checked when it is asked for."""

    def __init__(self, file: BinaryIO, kind: Kind) -> None:
        """Read and check the index, and that the file is as long as it says.

        Args:
            file: Opened for reading; it stays open as long as parts are read.
            kind: What it must be.

        Raises:
            TruncatedError: If it ends too early.
            OversizeError: If a length is beyond the limit of the kind.
            NewerFormatError: If a newer version wrote it.
            ContainerError: If it is another kind of file, or anything else is wrong with the index.
        """
        self._file = file
        if _exactly(file, MAGIC_BYTES, "magic") != kind.magic:
            raise ContainerError("not a file of this kind", field="magic", remedy=_REMEDY)
        length = int.from_bytes(_exactly(file, _LENGTH_BYTES, "index"), "little")
        if length > MAX_INDEX_BYTES:
            raise OversizeError("the index is too large", field="index", value=length, remedy=_REMEDY)
        index = _decode(_exactly(file, length, "index"))
        self.meta = index.meta
        self._parts: dict[str, tuple[int, _Part]] = {}
        at = MAGIC_BYTES + _LENGTH_BYTES + length
        for part in index.parts:
            self._check(part, kind)
            self._parts[part.name] = at, part
            at += part.bytes
        if len(index.parts) > kind.max_parts:
            raise OversizeError("too many parts", field="parts", value=len(index.parts), remedy=_REMEDY)
        size = file.seek(0, io.SEEK_END)
        if size < at:
            raise TruncatedError("the file ends too early", field="bytes", value=size, remedy=_REMEDY)
        if size > at:
            raise ContainerError("something lies behind the last part", field="bytes", value=size, remedy=_REMEDY)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each part by name, in order of the file."""
        return {name: part.bytes for name, (_, part) in self._parts.items()}

    def read(self, name: str) -> bytes:
        """Return a part whose digest has been checked.

        Raises:
            MissingFileError: If there is no such part.
            DigestError: If its bytes do not have the digest of the index.
            TruncatedError: If the file became shorter meanwhile.
        """
        if name not in self._parts:
            raise MissingFileError("a part of the file is missing", field=name, remedy=_REMEDY)
        at, part = self._parts[name]
        self._file.seek(at)
        data = _exactly(self._file, part.bytes, name)
        if hashlib.sha256(data).hexdigest() != part.sha256:
            raise DigestError("content does not match the index", field=name, remedy=_REMEDY)
        return data

    def read_slice(self, name: str, start: int, size: int) -> bytes:
        """Return at most ``size`` bytes of a part from ``start``, unchecked: for readers that hold their own hashes.

        Raises:
            MissingFileError: If there is no such part.
            TruncatedError: If the file became shorter meanwhile.
        """
        if name not in self._parts:
            raise MissingFileError("a part of the file is missing", field=name, remedy=_REMEDY)
        at, part = self._parts[name]
        start = min(max(start, 0), part.bytes)
        self._file.seek(at + start)
        return _exactly(self._file, min(max(size, 0), part.bytes - start), name)

    def _check(self, part: _Part, kind: Kind) -> None:
        if not kind.name.fullmatch(part.name):
            raise ContainerError("a part that such files do not have", field="name", value=part.name, remedy=_REMEDY)
        if part.name in self._parts:
            raise ContainerError("a part comes twice", field="name", value=part.name, remedy=_REMEDY)
        if part.bytes < 0:
            raise ContainerError("not a length", field=part.name, value=part.bytes, remedy=_REMEDY)
        if part.bytes > kind.max_part_bytes:
            raise OversizeError("a part is too large", field=part.name, value=part.bytes, remedy=_REMEDY)


def _exactly(file: BinaryIO, size: int, field: str) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise TruncatedError("the file ends too early", field=field, value=len(data), remedy=_REMEDY)
    return data


def _decode(data: bytes) -> _Index:
    try:
        raw = msgspec.json.decode(data, type=dict[str, Any])
        if isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
            remedy = f"update acclimate; this version reads up to {FORMAT}"
            raise NewerFormatError("the file has a newer format", field="format", value=raw["format"], remedy=remedy)
        index = msgspec.convert(raw, _Index)
        canonical = msgspec.json.encode(index, order="sorted")
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError) as exc:
        raise ContainerError(f"the index cannot be read: {exc}", field="index", remedy=_REMEDY) from exc
    if canonical != data or index.format != FORMAT:
        raise ContainerError("the index is not in canonical form", field="index", remedy=_REMEDY)
    return index
