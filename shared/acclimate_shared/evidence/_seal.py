"""How a state becomes bytes: a four-letter kind, a format number, the payload and a checksum.

The layout is fixed little-endian, so that the bytes are the same on every machine; float64 are kept exactly.

Example:
    >>> Reader(sealed(b"TEST", struct.pack("<d", 0.1)), b"TEST").floats(1)
    (0.1,)
"""

import math
import struct
import zlib

from acclimate_shared.errors import CorruptStateError, StateMismatchError

FORMAT = 1
_HEAD = struct.Struct("<4sB")
_CHECK = struct.Struct("<I")
_REMEDY = "start again from an older copy of the state"


def sealed(kind: bytes, payload: bytes) -> bytes:
    """Return the payload with its kind and format in front and a CRC-32 behind."""
    body = _HEAD.pack(kind, FORMAT) + payload
    return body + _CHECK.pack(zlib.crc32(body))


def pack_floats(*values: float) -> bytes:
    """Return float64 values, little-endian."""
    return struct.pack(f"<{len(values)}d", *values)


def pack_counts(*values: int) -> bytes:
    """Return whole numbers from 0, 8 bytes each."""
    return struct.pack(f"<{len(values)}Q", *values)


def corrupt(message: str, *, field: str = "", value: object = None) -> CorruptStateError:
    """Return the error for state that cannot have been written by this package."""
    return CorruptStateError(message, field=field, value=value, remedy=_REMEDY)


class Reader:
    """Takes values out of sealed bytes, front to back."""

    def __init__(self, data: bytes, kind: bytes) -> None:
        """Check the seal.

        Args:
            data: What `sealed` returned.
            kind: The four letters that are expected.

        Raises:
            CorruptStateError: If the bytes are cut short or changed.
            StateMismatchError: If they hold another kind of state, or another format.
        """
        if len(data) < _HEAD.size + _CHECK.size:
            raise corrupt("state is cut short", field="bytes", value=len(data))
        body, check = data[: -_CHECK.size], data[-_CHECK.size :]
        if _CHECK.unpack(check)[0] != zlib.crc32(body):
            raise corrupt("checksum of the state does not match", field="bytes", value=len(data))
        found, number = _HEAD.unpack_from(body)
        if (found, number) != (kind, FORMAT):
            remedy = f"give the bytes of kind {kind!r}, format {FORMAT}"
            raise StateMismatchError("state of another kind", field="kind", value=(found, number), remedy=remedy)
        self._body, self._at = body, _HEAD.size

    def raw(self, size: int) -> bytes:
        """Return the next ``size`` bytes.

        Raises:
            CorruptStateError: If there are not so many.
        """
        part = self._body[self._at : self._at + size]
        if len(part) != size:
            raise corrupt("state is cut short", field="bytes", value=len(self._body))
        self._at += size
        return part

    def floats(self, count: int) -> tuple[float, ...]:
        """Return the next float64 values.

        Raises:
            CorruptStateError: If there are not so many, or one is not finite.
        """
        values: tuple[float, ...] = struct.unpack(f"<{count}d", self.raw(8 * count))
        if not all(map(math.isfinite, values)):
            raise corrupt("state holds a number that is not finite", value=values)
        return values

    def counts(self, count: int) -> tuple[int, ...]:
        """Return the next whole numbers.

        Raises:
            CorruptStateError: If there are not so many.
        """
        values: tuple[int, ...] = struct.unpack(f"<{count}Q", self.raw(8 * count))
        return values

    def part(self) -> bytes:
        """Return the next part that `pack_part` wrote.

        Raises:
            CorruptStateError: If it is cut short.
        """
        return self.raw(self.counts(1)[0])

    def end(self) -> None:
        """Check that everything was read.

        Raises:
            CorruptStateError: If bytes are left.
        """
        if self._at != len(self._body):
            raise corrupt("state holds more than it should", field="bytes", value=len(self._body))


def pack_part(part: bytes) -> bytes:
    """Return bytes of any length behind their length."""
    return pack_counts(len(part)) + part
