"""A chunk of a bundle on its way to one device: its number, four bytes big-endian, then its bytes.

It is no message: nothing in it is believed before its hash was compared with the signed one.

Example:
    >>> unpacked(packed(7, b"abc"))
    (7, b'abc')
"""

from acclimate_shared.errors import MessageError
from acclimate_shared.release import CHUNK_BYTES

NUMBER_BYTES = 4


def packed(index: int, data: bytes) -> bytes:
    """Return the payload for chunk ``index``, counted from 0."""
    return index.to_bytes(NUMBER_BYTES, "big") + data


def unpacked(payload: bytes) -> tuple[int, bytes]:
    """Return number and bytes of a chunk.

    Raises:
        MessageError: it is too short or too long to be one.
    """
    if not NUMBER_BYTES < len(payload) <= NUMBER_BYTES + CHUNK_BYTES:
        raise MessageError("this is no chunk of a bundle", field="bytes", value=len(payload))
    return int.from_bytes(payload[:NUMBER_BYTES], "big"), payload[NUMBER_BYTES:]
