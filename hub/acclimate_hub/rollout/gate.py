"""The gate of a wave: from the devices' measurements, block by block, to pass, halt or "not enough data".

One observation a time block and criterion: the mean over the devices that are members of the block. Who is a member
was fixed before the block began; what arrives after its watermark is not counted; a block with too few devices, or too
small a share of its members, is none. Every criterion must pass *at the same moment*, so whichever limit a bad base
breaks, it passes with probability at most alpha; one alarm halts. Silence is neither: it ends in "starved".

Example:
    >>> from acclimate_hub.rollout.plan import RolloutPlan
    >>> gate = Gate.open(RolloutPlan(), first_block=100)
    >>> gate.close(100, members=0, values={})
    >>> gate.next_block, gate.verdict(Outcomes()).kind
    (101, <VerdictKind.WAITING: 'waiting'>)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from acclimate_hub.rollout.plan import RolloutPlan
from acclimate_hub.rollout.track import Track, TrackState
from acclimate_shared.errors import CorruptStateError
from acclimate_shared.evidence import Bets, mix

Floats = NDArray[np.float64]


class VerdictKind(StrEnum):
    """What a gate says."""

    WAITING = "waiting"
    PASS = "pass"  # noqa: S105 - a verdict
    HALT = "halt"
    STARVED = "starved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """How the devices fare.

    Attributes:
        serving: Whether the wave asks for successes at all.
        begun: Devices of the wave that have begun to take the base, however it went on.
        succeeded: Of these, that have run it through their probation.
        ever_begun: Devices that have begun in this stage, in any wave: one of an earlier wave may fail late.
        ever_failed: Of these, that ever failed or went back.
    """

    serving: bool = False
    begun: int = 0
    succeeded: int = 0
    ever_begun: int = 0
    ever_failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says, why, and on which numbers."""

    kind: VerdictKind
    why: str
    numbers: dict[str, float]


class _State(msgspec.Struct, frozen=True, kw_only=True):
    first_block: int
    next_block: int
    counted: int
    devices: int
    tracks: tuple[TrackState, ...]


@dataclass(slots=True)
class Gate:
    """The state; it advances in place.

    Attributes:
        plan: What is asked.
        tracks: A criterion each, in the order of the plan.
        first_block: Number of the first time block of the wave; ``next_block``: of the next to be closed.
        counted: Blocks that had enough devices.
        devices: That reported in the block closed last.
    """

    plan: RolloutPlan
    tracks: tuple[Track, ...]
    first_block: int
    next_block: int
    counted: int = 0
    devices: int = 0

    @classmethod
    def open(cls, plan: RolloutPlan, first_block: int) -> "Gate":
        """Return the gate of a wave that has seen nothing."""
        tracks = tuple(
            Track.new(
                criterion,
                alpha=plan.alpha,
                halt_alpha=plan.halt_alpha,
                group=plan.group,
                halt_group=plan.halt_group,
                max_blocks=plan.max_blocks,
            )
            for criterion in plan.criteria
        )
        return cls(plan, tracks, first_block, first_block)

    def due(self, now_s: float) -> bool:
        """Return whether the watermark of the next block has passed."""
        return now_s >= (self.next_block + 1) * self.plan.block_s + self.plan.watermark_s

    def close(self, block: int, *, members: int, values: Mapping[str, Floats]) -> None:
        """Close the next time block.

        Args:
            block: Its number.
            members: Devices whose losses were to count, as fixed before it.
            values: (n,) float64 for each criterion: the harm on each device that reported, NaN where not measured; n
                is the same for all.

        Raises:
            RuntimeError: If it is not the turn of this block: each is closed once, in order.
        """
        if block != self.next_block:
            raise RuntimeError(f"block {self.next_block} is to be closed, not {block}")
        self.next_block += 1
        self.devices = max((len(column) for column in values.values()), default=0)
        if self.devices < max(self.plan.min_devices, self.plan.min_share * members):
            return
        self.counted += 1
        for track in self.tracks:
            column = values.get(track.criterion.name)
            measured = column[np.isfinite(column)] if column is not None else np.empty(0)
            if len(measured) >= self.plan.min_devices:
                track.observe(float(measured.mean()))

    def verdict(self, outcomes: Outcomes) -> Verdict:
        """Return what the evidence says now: an alarm before a pass, a pass before starvation."""
        numbers = self.numbers(outcomes)
        for track in self.tracks:
            if track.halts:
                c = track.criterion
                why = f"{c.name}: mean {track.mean:.4g} over {track.n} blocks, above {c.halt:.4g}"
                return Verdict(kind=VerdictKind.HALT, why=why, numbers=numbers)
        if failure_log_e(self.plan, outcomes) >= self.failure_threshold:
            share = f"more than {self.plan.max_failed:.2%} in the long run"
            why = f"failures: {outcomes.ever_failed} of {outcomes.ever_begun} devices, {share}"
            return Verdict(kind=VerdictKind.HALT, why=why, numbers=numbers)
        missing = self.missing(outcomes)
        if not missing:
            return Verdict(kind=VerdictKind.PASS, why="every criterion has passed", numbers=numbers)
        if self.next_block - self.first_block >= self.plan.max_blocks:
            why = f"no answer within {self.plan.max_blocks} blocks: {'; '.join(missing)}"
            return Verdict(kind=VerdictKind.STARVED, why=why, numbers=numbers)
        return Verdict(kind=VerdictKind.WAITING, why="; ".join(missing), numbers=numbers)

    def missing(self, outcomes: Outcomes) -> list[str]:
        """Return what a pass still lacks, one sentence each."""
        found = []
        for track in self.tracks:
            name = track.criterion.name
            if track.n < self.plan.min_blocks:
                found.append(f"{name}: {track.n} of {self.plan.min_blocks} blocks")
            elif not track.passes:
                found.append(f"{name}: evidence {track.process.log_e:.2f} of {track.threshold:.2f}")
        if outcomes.serving:
            if outcomes.succeeded < self.plan.min_devices:
                found.append(f"successes: {outcomes.succeeded} of {self.plan.min_devices} devices")
            elif outcomes.succeeded < self.plan.min_success * outcomes.begun:
                found.append(f"successes: {outcomes.succeeded} of {outcomes.begun} devices that began")
        return found

    def numbers(self, outcomes: Outcomes) -> dict[str, float]:
        """Return what is recorded with a transition."""
        found = {
            "blocks": float(self.next_block - self.first_block),
            "counted": float(self.counted),
            "begun": float(outcomes.begun),
            "succeeded": float(outcomes.succeeded),
            "failed": float(outcomes.ever_failed),
        }
        for track in self.tracks:
            name = track.criterion.name
            found[f"{name}.mean"] = track.mean
            found[f"{name}.log_e"] = track.process.log_e
            found[f"{name}.threshold"] = track.threshold
            found[f"{name}.alarm"] = track.watch.log_m
            found[f"{name}.alarm_at"] = track.alarm_at
        return found

    @property
    def failure_threshold(self) -> float:
        """What log E of the failures must reach to halt."""
        return -math.log(self.plan.halt_alpha)

    def to_bytes(self) -> bytes:
        """Return the state without the plan."""
        tracks = tuple(track.state() for track in self.tracks)
        state = _State(
            first_block=self.first_block,
            next_block=self.next_block,
            counted=self.counted,
            devices=self.devices,
            tracks=tracks,
        )
        return msgspec.msgpack.encode(state)

    @classmethod
    def from_bytes(cls, plan: RolloutPlan, data: bytes) -> "Gate":
        """Read what `to_bytes` wrote for the same plan; the gate continues bit for bit.

        Raises:
            CorruptStateError: If the bytes are damaged or of another plan.
            StateMismatchError: If they hold another kind of state.
        """
        remedy = "pause and resume the rollout: the evidence of the wave starts anew"
        try:
            state = msgspec.msgpack.decode(data, type=_State)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise CorruptStateError(f"not the state of a gate: {exc}", field="gate", remedy=remedy) from exc
        if len(state.tracks) != len(plan.criteria):
            raise CorruptStateError("state of another plan", field="tracks", value=len(state.tracks), remedy=remedy)
        tracks = tuple(Track.restored(c, kept) for c, kept in zip(plan.criteria, state.tracks, strict=True))
        return cls(plan, tracks, state.first_block, state.next_block, state.counted, state.devices)


def failure_log_e(plan: RolloutPlan, outcomes: Outcomes) -> float:
    """Return log E of "more than ``max_failed`` of the devices fail", from the counts of first attempts alone.

    Each device is a coin, tossed when it begins: the wealth of a bet depends only on how many failed, so any order of
    the reports gives the same number. A device that has not failed yet counts as one that will not: failures show
    sooner than successes, and would alarm falsely if only what has ended were counted.
    """
    p = plan.max_failed
    effect = plan.bad_failed - p
    bets = Bets.of(effect=effect, variance=p * (1 - p), margin=p - 1)
    rates = np.array(bets.lambdas)
    held = max(outcomes.ever_begun - outcomes.ever_failed, 0)
    wealth = outcomes.ever_failed * np.log1p(rates * (1 - p)) + held * np.log1p(-rates * p)
    return float(mix(bets, wealth[:, None])[0])
