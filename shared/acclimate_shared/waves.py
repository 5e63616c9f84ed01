"""Who belongs to a wave of a rollout, and what it is asked to do; `messages.down.Desired` tells the devices so.

Device and hub compute the same function, so no message a device is needed however large the fleet is:

    position(salt, device) < percent        position: uniform on 0 .. 100 %, from SHA-256

A rollout has one salt, so its waves are nested: who was in the wave of 1 % is in the wave of 10 %. Another rollout has
another salt, so that not always the same devices go first. A device that appears later is a member, or not, by the
same sum.

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

import numpy as np
from numpy.typing import NDArray

from acclimate_shared.errors import InputError

POSITIONS = 1_000_000  # so that a percent has four decimals
PERCENT = POSITIONS // 100
NO_BASE = "0" * 64  # stands for the digest of a base that did not come as a bundle, but with the agent
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
