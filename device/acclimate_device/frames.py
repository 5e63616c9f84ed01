"""What the agent and the process of an outside candidate say to each other: length, then one typed message; no pickle.

A frame is four bytes of length (big endian) and a msgpack map; tensors travel inside as safetensors. Both sides refuse
what is longer than they expect before they read it, and what is not a frame before they use it.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors.numpy

from acclimate_shared.errors import LinkError

Array = npt.NDArray[Any]

HEAD = 4  # bytes of the length
OVERHEAD = 1 << 14  # bytes of a frame beside the data of its tensors
MOST = 1 << 30  # bytes of any frame


class Frame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message.

    Attributes:
        kind: ``open`` (folder, digest, state), ``predict`` (x), ``learn`` (x, y, w), ``grow`` (dims), ``export``; the
            answers are ``ok``, ``gone`` (no state of that step is kept any more) and ``error`` (text).
        step: number of the state that is meant; each step of learning makes the next.
        text: folder of the package, or what went wrong.
        digest: of the package.
        dims: sizes to grow to.
        tensors: safetensors.
        seconds: in the answer to ``export``, of the processor for one row; 0 before anything was asked.
    """

    kind: Literal["open", "predict", "learn", "grow", "export", "ok", "gone", "error"]
    step: int = 0
    text: str = ""
    digest: str = ""
    dims: dict[str, int] = {}
    tensors: bytes = b""
    seconds: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0


_DECODER = msgspec.msgpack.Decoder(Frame)


def packed(tensors: Mapping[str, Array]) -> bytes:
    """Return tensors as safetensors."""
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in tensors.items()})


def unpacked(data: bytes) -> dict[str, Array]:
    """Return the tensors of a frame.

    Raises:
        LinkError: they are not safetensors.
    """
    try:
        return dict(safetensors.numpy.load(data)) if data else {}
    except Exception as exc:  # safetensors raises its own, KeyError and numpy's
        raise LinkError(f"the tensors of a frame cannot be read: {exc}") from exc


def send(link: socket.socket, frame: Frame) -> None:
    """Send a frame; the socket's timeout bounds it.

    Raises:
        LinkError: the other side is gone or does not listen.
    """
    data = msgspec.msgpack.encode(frame)
    try:
        link.sendall(len(data).to_bytes(HEAD, "big") + data)
    except OSError as exc:
        raise LinkError(f"a frame could not be sent: {exc}") from exc


def receive(link: socket.socket, most: int, left_s: Callable[[], float | None]) -> Frame | None:
    """Return the next frame, None if the other side has closed.

    Args:
        link: connected.
        most: bytes that the frame may have.
        left_s: returns the seconds that are left for it; None: no deadline.

    Raises:
        LinkError: too late, too long, cut off, or not a frame.
    """
    head = _read(link, HEAD, left_s)
    if not head:
        return None
    length = int.from_bytes(head, "big")
    if len(head) < HEAD or not 0 < length <= min(most, MOST):
        raise LinkError("a frame has a length that it must not have", field="bytes", value=length)
    data = _read(link, length, left_s)
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise LinkError(f"not a frame: {exc}") from exc


def _read(link: socket.socket, length: int, left_s: Callable[[], float | None]) -> bytes:
    """Return ``length`` bytes, fewer if the other side closes."""
    data = bytearray()
    while len(data) < length:
        left = left_s()
        if left is not None and left <= 0:
            raise LinkError("no answer in time")
        link.settimeout(left)
        try:
            part = link.recv(min(length - len(data), 1 << 20))
        except TimeoutError as exc:
            raise LinkError("no answer in time") from exc
        except OSError as exc:
            raise LinkError(f"the other side is gone: {exc}") from exc
        if not part:
            break
        data += part
    return bytes(data)
