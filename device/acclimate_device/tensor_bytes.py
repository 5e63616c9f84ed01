"""A tensor as bytes, and back: dtype, shape, and the data, packed where that is worth it."""

import json
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_shared.errors import CorruptStateError

Array = npt.NDArray[Any]

WORTH = 0.9  # packed data are kept if they are at most this share of the plain ones
MOST_BYTES = 2**31  # of one tensor
#: Kinds of numbers; numpy reads much more as one, some of it as an expression.
DTYPES = {"|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"}


def packed(data: bytes) -> bytes:
    """Return data with a mark in front, compressed if that saves a tenth (zlib, level 1)."""
    small = zlib.compress(data, 1)
    return b"z" + small if len(small) <= WORTH * len(data) else b"r" + data


def unpacked(data: bytes) -> bytes:
    """Return what ``packed`` was given.

    Raises:
        CorruptStateError: it is something else, or larger than MOST_BYTES.
    """
    if data[:1] == b"r":
        return data[1:]
    machine = zlib.decompressobj()
    try:
        plain = machine.decompress(data[1:], MOST_BYTES)
    except zlib.error as exc:
        raise CorruptStateError("data cannot be unpacked", field="data", remedy="restore a copy") from exc
    if data[:1] != b"z" or not machine.eof:
        raise CorruptStateError("data cannot be unpacked", field="data", remedy="restore a copy")
    return plain


def to_bytes(array: Array) -> bytes:
    """Return a tensor as bytes; equal tensors give equal bytes."""
    array = np.ascontiguousarray(array)
    head = json.dumps([array.dtype.str, array.shape], separators=(",", ":")).encode()
    return len(head).to_bytes(4, "big") + head + array.tobytes()


def from_bytes(data: bytes) -> Array:
    """Return the tensor, read-only.

    Raises:
        CorruptStateError: these are not the bytes of a tensor of numbers.
    """
    try:
        size = int.from_bytes(data[:4], "big")
        dtype, shape = json.loads(data[4 : 4 + size])
        if dtype not in DTYPES:
            raise CorruptStateError("a tensor holds numbers", field="tensor", value=dtype, remedy="restore a copy")
        return np.frombuffer(data, np.dtype(dtype), offset=4 + size).reshape(shape)
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise CorruptStateError("these are not the bytes of a tensor", field="tensor", remedy="restore a copy") from exc
