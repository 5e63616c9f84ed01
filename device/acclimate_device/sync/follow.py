"""What a device does about a rollout: fetch the base, run it in shadow, be served by it, go back; and what it says.

A step looks at the newest document and does the next thing that it asks for; every step may be the first of a new life,
for what counts is kept. The device is believed about itself, so it says no more than it knows: "running" is said only
after the base has answered here for the whole probation, and a probation that was cut short begins again.

    told -> downloading -> verified (in shadow) -> probation -> running      failed, rolled back: until a new attempt
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from acclimate_device.fleet_rows import FleetRows
from acclimate_device.sync.limits import FETCH_AGAIN_S
from acclimate_shared.constraints import ConstraintError
from acclimate_shared.errors import AcclimateError, LinkError, PackageError, RefusedError
from acclimate_shared.messages.down import Command, Desired, SwitchSlot
from acclimate_shared.messages.up import RolloutBlock, RolloutReport
from acclimate_shared.release import ExpiredError, TrustError, UnlistedError
from acclimate_shared.rollout_reports import DeviceState
from acclimate_shared.waves import NO_BASE, Action, Stage

logger = logging.getLogger(__name__)

FACT = "rollout"
ENDED = frozenset({DeviceState.FAILED, DeviceState.ROLLED_BACK})
SERVED = frozenset({DeviceState.PROBATION, DeviceState.RUNNING})
#: Why a base was not taken, the most particular first.
REASONS: tuple[tuple[type[AcclimateError], str], ...] = (
    (ExpiredError, "metadata-expired"),
    (UnlistedError, "not-listed"),
    (TrustError, "signature-refused"),
    (ConstraintError, "not-made-for-this-device"),
    (PackageError, "package-refused"),
    (AcclimateError, "refused"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What was measured of a base so far; see ``RolloutBlock``, the ratios are those of now."""

    labels: int = 0
    gain: float = 0.0
    asked: int = 0
    crashes: int = 0
    rejects: int = 0
    latency: float = 0.0
    memory: float = 0.0


class Seats(Protocol):
    """What the agent does with a base: ``seats.AgentSeats``. Any method may raise an ``AcclimateError``."""

    def install(self, digest: str) -> None:
        """Fetch, verify and try a base, and let it take part in shadow; may take long."""

    def fault(self, digest: str) -> str:
        """Return why a base takes part no longer, in words joined by hyphens; "" if it does."""

    def seat(self, digest: str, why: str) -> bool:
        """Let a base serve; return whether it does now. Asked again until it does."""

    def serves(self, digest: str) -> bool:
        """Return whether a base answers."""

    def unseat(self, digest: str, why: str) -> None:
        """Let the model of before serve, and the base take part no longer; nothing where that is so already."""

    def sums(self, digest: str) -> Sums | None:
        """Return what was measured of a base since it takes part in this life; None if it does not."""

    def answering(self) -> str:
        """Return the digest of the base that answers, `waves.NO_BASE` for what came with the agent."""


class Place(msgspec.Struct, kw_only=True):
    """Where the device stands; kept.

    Attributes:
        order: of the newest document or command that was heeded.
        labels: of the base before this life, for the warm-up.
        since_s: when it began to be served by the base, seconds since 1970.
    """

    rollout: str = ""
    order: tuple[int, int] = (0, 0)
    digest: str = ""
    attempt: int = 0
    stage: Stage = Stage.SHADOW
    state: DeviceState = DeviceState.TOLD
    reason: str = ""
    labels: int = 0
    since_s: float = 0.0


class Follower:
    """Follows the rollouts of one device; ``desired`` and ``command`` are for any thread, ``step`` is for one."""

    def __init__(
        self,
        device: str,
        rows: FleetRows,
        seats: Seats,
        say: Callable[[RolloutReport | RolloutBlock], None],
        now: Callable[[], float] = time.time,
        *,
        again_s: float = FETCH_AGAIN_S,
    ) -> None:
        """Go on from what is kept.

        Args:
            device: who we are.
            rows: of the state.
            seats: what the agent does with a base.
            say: keeps a message for the hub.
            now: seconds since 1970.
            again_s: until a base that did not come is asked for again.
        """
        self._again_s = again_s
        self._device, self._rows, self._seats, self._say, self._now = device, rows, seats, say, now
        kept = rows.fact(FACT)
        self.place = msgspec.msgpack.decode(kept, type=Place) if kept else Place()
        if self.place.state in SERVED:
            self.place.since_s = now()
            self.place.state = DeviceState.PROBATION
        if self.place.state is DeviceState.DOWNLOADING:
            self.place.state = DeviceState.TOLD
        self._desired: Desired | None = None
        self._switch: SwitchSlot | None = None
        self._said: RolloutReport | None = None
        self._not_before_s = 0.0
        self._block, self._before = -1, Sums()

    def desired(self, desired: Desired) -> None:
        """Take what the hub wants."""
        self._desired = desired

    def command(self, command: Command) -> None:
        """Take a command."""
        if isinstance(command, SwitchSlot):
            self._switch = command

    def step(self) -> None:
        """Do the next thing, say what is new, and measure.

        Raises:
            StateError: the disk refuses.
        """
        before = msgspec.msgpack.encode(self.place)
        try:
            self._heed()
        except LinkError as exc:
            logger.info("a rollout waits: %s", exc)
            self._not_before_s = self._now() + self._again_s
        if (after := msgspec.msgpack.encode(self.place)) != before:
            self._rows.keep(FACT, after)
        self._report()
        self._measure()

    def answering(self) -> tuple[str, str]:
        """Return the digest of the base that answers, "" for what came with the agent; and why not the wanted one."""
        answers = self._seats.answering()
        return "" if answers == NO_BASE else answers, self.place.reason if self.place.state in ENDED else ""

    # -- doing --------------------------------------------------------------------------------------------------

    def _heed(self) -> None:
        desired, switch, place = self._desired, self._switch, self.place
        if switch and switch.order >= place.order and switch.rollout == place.rollout:
            place.order = switch.order
            self._return(switch.reason)
            return
        if desired is None or desired.order < place.order:
            return
        place.order = desired.order
        if desired.rollout != place.rollout:
            self.place = place = Place(rollout=desired.rollout, order=desired.order, digest=desired.digest)
            self._said = None
        asked = desired.asks(self._device)
        if desired.action is Action.RETURN:
            self._return("rollout-ended")
        elif place.state in ENDED:
            if desired.action is Action.GO and asked and desired.attempt > place.attempt:
                place.state, place.reason, place.stage = DeviceState.TOLD, "", Stage.SHADOW
        elif asked:
            self._go(desired, asked)

    def _return(self, why: str) -> None:
        place = self.place
        if place.state in ENDED or (place.state is DeviceState.TOLD and not place.attempt):
            return
        self._seats.unseat(place.digest, why)
        place.state, place.reason = DeviceState.ROLLED_BACK, why

    def _go(self, desired: Desired, asked: Stage) -> None:
        place = self.place
        place.attempt = desired.attempt
        if place.state is DeviceState.TOLD:
            if desired.action is Action.GO and self._now() >= self._not_before_s:
                self._install()
            return
        if fault := self._seats.fault(place.digest):
            self._seats.unseat(place.digest, fault)
            place.state = DeviceState.ROLLED_BACK if place.state in SERVED else DeviceState.FAILED
            place.reason = fault
        elif place.state is DeviceState.VERIFIED and asked is Stage.SERVE and desired.action is Action.GO:
            if self._seats.seat(place.digest, f"rollout {place.rollout}"):
                place.stage, place.state, place.since_s = Stage.SERVE, DeviceState.PROBATION, self._now()
        elif place.state in SERVED:
            self._served(desired)

    def _install(self) -> None:
        place = self.place
        place.state = DeviceState.DOWNLOADING
        self._report()
        try:
            self._seats.install(place.digest)
        except LinkError:
            place.state = DeviceState.TOLD
            raise
        except RefusedError as exc:
            logger.warning("the base of rollout %s is not taken: %s", place.rollout, exc)
            place.state, place.reason = (
                DeviceState.FAILED,
                next(word for kind, word in REASONS if isinstance(exc, kind)),
            )
            return
        place.state, place.labels = DeviceState.VERIFIED, 0

    def _served(self, desired: Desired) -> None:
        """Look whether the base still answers, and for how long it has."""
        place = self.place
        if not self._seats.serves(place.digest):
            self._seats.unseat(place.digest, "it no longer served")
            place.state, place.reason = DeviceState.ROLLED_BACK, "fell-back-by-itself"
        elif self._served_s() >= desired.probation_s:
            place.state = DeviceState.RUNNING

    def _served_s(self) -> float:
        return max(0.0, self._now() - self.place.since_s) if self.place.state in SERVED else 0.0

    # -- saying -------------------------------------------------------------------------------------------------

    def _report(self) -> None:
        place, sums = self.place, self._sums()
        if not place.rollout or not (place.attempt or place.state in ENDED):
            return
        begun = place.state in {DeviceState.VERIFIED, *SERVED}
        report = RolloutReport(
            rollout=place.rollout,
            attempt=place.attempt,
            stage=place.stage,
            state=place.state,
            digest=self._seats.answering() or NO_BASE,
            warm=begun and sums is not None and self._warm(sums),
            reason=place.reason if place.state in ENDED else "",
            revision=place.order[1],
        )
        if report != self._said:
            self._said = report
            self._say(msgspec.structs.replace(report, served_s=self._served_s()))

    def _warm(self, sums: Sums) -> bool:
        return self._desired is not None and self.place.labels + sums.labels >= self._desired.warmup_labels

    def _sums(self) -> Sums | None:
        return self._seats.sums(self.place.digest) if self.place.digest else None

    def _measure(self) -> None:
        """Say what the block of time that has just ended has brought."""
        desired, sums, place = self._desired, self._sums(), self.place
        if desired is None or sums is None or desired.rollout != place.rollout:
            self._block = -1
            return
        block, begun = int(self._now() // desired.block_s), self._block
        if block == begun:
            return
        before, self._block, self._before = self._before, block, sums
        if begun < 0 or block != begun + 1 or place.state in ENDED or not self._warm(before):
            return  # a block that was not seen whole, or not wholly after the warm-up, says nothing
        labels = sums.labels - before.labels
        self._say(
            RolloutBlock(
                rollout=place.rollout,
                stage=place.stage,
                block=begun,
                labels=labels,
                gain=max(-float(labels), min(float(labels), sums.gain - before.gain)),
                asked=sums.asked - before.asked,
                crashes=min(sums.crashes - before.crashes, sums.asked - before.asked),
                rejects=min(sums.rejects - before.rejects, sums.asked - before.asked),
                latency=sums.latency,
                memory=sums.memory,
            )
        )
