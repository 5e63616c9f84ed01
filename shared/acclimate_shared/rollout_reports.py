"""What a device says about a rollout: where it stands, and what its own shadow evaluation measured in a time block.

A `Report` is a snapshot, not a step: the latest by (boot, seq) says all, so lost, repeated and reordered ones do no
harm. A `BlockReport` carries sums over one time block and no feature value. Order within a device is (boot, seq): boot
counts its starts, seq its messages since.

Example:
    >>> facts = {"device": "d1", "boot": 1, "rollout": "r1", "stage": Stage.SHADOW}
    >>> block = BlockReport(**facts, seq=7, block=3, labels=20, gain=-0.4, asked=20, latency=1.3)
    >>> block.checked().values(min_labels=1, clip=0.5)["loss"]
    0.02
"""

import math
from enum import StrEnum

import msgspec

from acclimate_shared.errors import InputError
from acclimate_shared.waves import Stage, checked_digest

MAX_NAME = 128  # characters of a device, a rollout
MAX_REASON = 300  # characters
MAX_LABELS = 1_000_000  # in a time block of one device
MAX_LOG_RATIO = 2.0  # of latency or memory of one device: beyond it more is not worse
CRITERIA = ("loss", "crash", "reject", "latency", "memory")  # what a block report can say


class DeviceState(StrEnum):
    """Where a device stands in a rollout; OFFLINE is how any of them is shown while the device is not connected."""

    PENDING = "pending"
    TOLD = "told"
    DOWNLOADING = "downloading"
    VERIFIED = "verified"
    PROBATION = "probation"
    RUNNING = "running"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    OFFLINE = "offline"


REPORTED = frozenset(DeviceState) - {DeviceState.PENDING, DeviceState.OFFLINE}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Where a device stands, by its own account.

    Attributes:
        device: Who; ``boot``: its starts, from 1; ``seq``: its messages since.
        rollout: About which; ``attempt``: the attempt of the document that it follows.
        stage: Whether the base is in shadow or serves; ``state``: any but PENDING and OFFLINE.
        digest: Of the base model that answers at this moment, in hex.
        served_s: Seconds that ``digest`` has answered without a fault since it took over.
        warm: Whether the declared warm-up is over, so that losses are scored.
        reason: Why it failed or went back.
        revision: Of the latest document that the device has seen.
    """

    device: str
    boot: int
    seq: int
    rollout: str
    attempt: int
    stage: Stage
    state: DeviceState
    digest: str
    served_s: float = 0.0
    warm: bool = False
    reason: str = ""
    revision: int = 0

    def checked(self) -> "Report":
        """Return the report itself.

        Raises:
            InputError: If a field is out of range.
        """
        _names(self.device, self.rollout, self.boot, self.seq)
        checked_digest(self.digest, "digest")
        if self.state not in REPORTED:
            raise InputError("a device does not say this", field="state", value=self.state, remedy="report a state")
        if not (self.attempt >= 0 and 0 <= self.served_s < math.inf and len(self.reason) <= MAX_REASON):
            remedy = f"attempt and served_s from 0, a reason of up to {MAX_REASON} characters"
            raise InputError("report out of range", field="served_s", value=self.served_s, remedy=remedy)
        return self


class BlockReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a device measured in one time block.

    Attributes:
        device: Who; ``boot``, ``seq``: order; ``rollout``, ``stage``: about what.
        block: Number of the time block, its start over its length.
        labels: Labels scored, warm-up excluded; ``gain``: sum over them of the champion's loss - the new base's loss,
            each in [-1, 1].
        asked: Predictions that the new base was asked for; ``crashes``: that it died on; ``rejects``: that it refused.
        latency: Its seconds a prediction over the champion's, medians of the block; 0: not measured.
        memory: Its bytes over the champion's; 0: not measured.
    """

    device: str
    boot: int
    seq: int
    rollout: str
    stage: Stage
    block: int
    labels: int = 0
    gain: float = 0.0
    asked: int = 0
    crashes: int = 0
    rejects: int = 0
    latency: float = 0.0
    memory: float = 0.0

    def checked(self) -> "BlockReport":
        """Return the report itself.

        Raises:
            InputError: If a field is out of range.
        """
        _names(self.device, self.rollout, self.boot, self.seq)
        rules = (
            ("block", self.block >= 0, "a number from 0"),
            ("labels", 0 <= self.labels <= MAX_LABELS, f"0 to {MAX_LABELS}"),
            ("gain", abs(self.gain) <= self.labels * (1 + 1e-9), "at most one for each label"),
            ("asked", 0 <= self.asked <= MAX_LABELS, f"0 to {MAX_LABELS}"),
            ("crashes", 0 <= self.crashes <= self.asked, "at most as many as were asked"),
            ("rejects", 0 <= self.rejects <= self.asked, "at most as many as were asked"),
            ("latency", 0 <= self.latency < math.inf, "a ratio > 0, or 0"),
            ("memory", 0 <= self.memory < math.inf, "a ratio > 0, or 0"),
        )
        for field, good, remedy in rules:
            if not good:  # a number that is no number is in no range
                value = getattr(self, field)
                raise InputError("block report out of range", field=field, value=value, remedy=f"give {remedy}")
        return self

    def values(self, *, min_labels: int, clip: float) -> dict[str, float]:
        """Return the harm of each criterion in this block; what was not measured is left out.

        Args:
            min_labels: With fewer the loss says nothing.
            clip: Bound of the mean loss difference of one device, either way.

        Returns:
            loss: increase of the mean loss; crash, reject: shares of what was asked; latency, memory: log ratios.
        """
        found: dict[str, float] = {}
        if self.labels >= max(min_labels, 1):
            found["loss"] = min(max(-self.gain / self.labels, -clip), clip)
        if self.asked:
            found["crash"], found["reject"] = self.crashes / self.asked, self.rejects / self.asked
        for name, ratio in (("latency", self.latency), ("memory", self.memory)):
            if ratio > 0:
                found[name] = min(max(math.log(ratio), -MAX_LOG_RATIO), MAX_LOG_RATIO)
        return found


def _names(device: str, rollout: str, boot: int, seq: int) -> None:
    for field, name in (("device", device), ("rollout", rollout)):
        if not 0 < len(name) <= MAX_NAME:
            raise InputError("no such name", field=field, value=name, remedy=f"give 1 to {MAX_NAME} characters")
    if boot < 0 or seq < 0:
        raise InputError("no such order", field="boot, seq", value=(boot, seq), remedy="give numbers from 0")
