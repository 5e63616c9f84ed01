"""Who belongs to a wave, and the document that tells the devices so.

Device and hub compute the same function, so no message a device is needed however large the fleet is:

    position(salt, device) < percent        position: uniform on 0 .. 100 %, from SHA-256

A rollout has one salt, so its waves are nested: who was in the wave of 1 % is in the wave of 10 %. Another rollout has
another salt, so that not always the same devices go first. A device that appears later is a member, or not, by the
same sum. A ``Desired`` is retained per cohort; devices order them by (number, revision), so one that arrives late
changes nothing.

Example:
    >>> in_wave("salt", "device-1", 100.0), in_wave("salt", "device-1", 0.0)
    (True, False)
    >>> position("salt", "device-1")
    653880
"""

import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from acclimate_shared.errors import InputError

POSITIONS = 1_000_000  # so that a percent has four decimals
PERCENT = POSITIONS // 100
MAX_DESIRED_BYTES = 2048
FORMAT = 1
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class Stage(StrEnum):
    """What a wave asks of its members: SHADOW predicts beside what serves, SERVE answers."""

    SHADOW = "shadow"
    SERVE = "serve"


class Action(StrEnum):
    """What all members do: GO on, HOLD (begin nothing new, keep what runs), or RETURN to the previous model."""

    GO = "go"
    HOLD = "hold"
    RETURN = "return"


def position(salt: str, device: str) -> int:
    """Return where a device stands in a rollout: 0 to 999,999, uniform over devices and over salts."""
    head = hashlib.sha256(f"{salt}\0{device}".encode()).digest()[:8]
    return (int.from_bytes(head, "big") * POSITIONS) >> 64


def positions(salt: str, devices: Iterable[str]) -> NDArray[np.int64]:
    """Return `position` of each device, (n,) int64."""
    return np.fromiter((position(salt, device) for device in devices), np.int64)


def in_wave(salt: str, device: str, percent: float) -> bool:
    """Return whether a device is among the first ``percent`` (0 to 100, four decimals count) of a rollout."""
    return position(salt, device) < edge(percent)


def edge(percent: float) -> int:
    """Return the first position that is no longer among the first ``percent``.

    Raises:
        InputError: If it is not in 0 to 100.
    """
    if not 0 <= percent <= 100:  # noqa: PLR2004 - percent
        raise InputError("no such share", field="percent", value=percent, remedy="give a number from 0 to 100")
    return round(percent * PERCENT)


def checked_digest(digest: str, field: str) -> str:
    """Return the digest.

    Raises:
        InputError: If it is not 64 hex digits.
    """
    if not _DIGEST.match(digest):
        raise InputError("not a digest", field=field, value=digest, remedy="give SHA-256 in 64 hex digits")
    return digest


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout wants of one cohort at this moment.

    Attributes:
        rollout: Its id; ``number``: its place among the rollouts of the tenant; ``revision``: of this document.
        action: See `Action`.
        digest: SHA-256 of the new base, in hex; ``previous``: of the model to return to.
        salt: For `in_wave`.
        attempt: A device that failed tries again when this is larger than the attempt that failed; from 1.
        shadow: Percent of the cohort that has the base in shadow; ``serve``: that is served by it.
        warmup_labels: Labels to learn before the first that is scored.
        probation_s: Seconds that a device must have been served by the base before it says "running".
        block_s: Seconds of a time block of evidence.
        cohort: Whom it is for.
        format: Of this document.
    """

    rollout: str
    number: int
    revision: int
    action: Action
    digest: str
    previous: str
    salt: str
    attempt: int
    shadow: float
    serve: float
    warmup_labels: int
    probation_s: float
    block_s: float
    cohort: str = ""
    format: int = FORMAT

    @property
    def order(self) -> tuple[int, int]:
        """What says which of two documents is the later."""
        return self.number, self.revision

    def asks(self, device: str) -> Stage | None:
        """Return what the device is a member of, SERVE before SHADOW, whatever the action is; None: of nothing."""
        if in_wave(self.salt, device, self.serve):
            return Stage.SERVE
        return Stage.SHADOW if in_wave(self.salt, device, self.shadow) else None

    def to_bytes(self) -> bytes:
        """Return MessagePack.

        Raises:
            InputError: If it is longer than 2 KB.
        """
        data = msgspec.msgpack.encode(self)
        if len(data) > MAX_DESIRED_BYTES:
            remedy = f"shorten names and salt until it fits {MAX_DESIRED_BYTES} bytes"
            raise InputError("document is too long", field="bytes", value=len(data), remedy=remedy)
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> "Desired":
        """Read what `to_bytes` wrote; unknown fields are passed over.

        Raises:
            InputError: If it is too long, not of this form, or out of range.
        """
        remedy = "wait for the next document of the hub"
        if len(data) > MAX_DESIRED_BYTES:
            raise InputError("document is too long", field="bytes", value=len(data), remedy=remedy)
        try:
            desired = msgspec.msgpack.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise InputError(f"not a desired document: {exc}", field="desired", remedy=remedy) from exc
        if desired.format != FORMAT:
            raise InputError("document of another format", field="format", value=desired.format, remedy=remedy)
        checked_digest(desired.digest, "digest")
        checked_digest(desired.previous, "previous")
        edge(desired.shadow)
        edge(desired.serve)
        return desired
