"""What every detector has in common: the seam, exact bytes, refusal of bad values.

A detector is a ``msgspec`` struct whose fields are its options and its whole state, so that the bytes of MessagePack
(float64 as they are) are the detector. The first element of the bytes names kind and format; fields are only
ever added at the end.
"""

import math
from typing import Any, Protocol, Self

import msgspec

from acclimate_shared.errors import CorruptStateError, InputError


class Detector(Protocol):
    """The seam: anything that says whether the last value completed the proof of a drift."""

    @property
    def drift_detected(self) -> bool:
        """Whether the last ``update`` found a drift."""

    def update(self, x: Any, /) -> None:  # noqa: ANN401 - a number, or a row of them
        """Take the next value."""

    def reset(self) -> None:
        """Forget all values and keep the options."""

    def detail(self) -> dict[str, float]:
        """Return the numbers behind the last answer; ``change`` is > 0 if a mean rose, < 0 if it fell."""

    def to_bytes(self) -> bytes:
        """Return options and state, exactly."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Take back what ``to_bytes`` returned."""


class Exact(msgspec.Struct, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """A struct that is stored and resumed bit for bit."""

    def to_bytes(self) -> bytes:
        """Return options and state as MessagePack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Take back what ``to_bytes`` returned.

        Raises:
            CorruptStateError: If the bytes are damaged or of another kind or format.
        """
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except (msgspec.DecodeError, ValueError) as exc:
            remedy = "start the detector anew"
            raise CorruptStateError(f"not a {cls.__name__}: {exc}", field="detector", remedy=remedy) from exc


def finite(x: float) -> float:
    """Return ``x``.

    Raises:
        InputError: If it is not a finite number, which would spoil every later answer.
    """
    if not math.isfinite(x):
        raise InputError("not a finite number", field="x", value=x, remedy="leave missing values out")
    return x


def require(name: str, value: float, *, right: bool, remedy: str) -> None:
    """Check one option.

    Raises:
        ValueError: If it is not right.
    """
    if not right:
        raise ValueError(f"{name} = {value}: {remedy}")
