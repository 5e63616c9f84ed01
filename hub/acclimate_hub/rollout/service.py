"""The rollouts of a hub: what people decide, what devices report and what time brings, by compare-and-set on a store.

Whoever loses a race reads again and tries again; what has become impossible in the meantime is refused, not lost. So
any number of workers may call `tick` for the same rollout: each time block is closed once.

Example:
    >>> from acclimate_hub.rollout.memory import MemoryStore
    >>> rollouts = Rollouts(MemoryStore(), clock=lambda: 0.0)
    >>> facts = {"author": "ann", "digest": "d" * 64, "previous": "c" * 64, "salt": "s", "cohorts": ("home",)}
    >>> _ = rollouts.create("r1", RolloutPlan(), **facts)
    >>> rollouts.approve("r1", "bob", "looked at it").phase, rollouts.start("r1", "bob", "now").wave
    (<Phase.APPROVED: 'approved'>, 0)
    >>> rollouts.desired("r1", "home").shadow
    5.0
"""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from acclimate_hub.rollout import machine
from acclimate_hub.rollout.devices import BEGUN, applied, holds, succeeded
from acclimate_hub.rollout.errors import ConflictError, TransitionError, UnknownRolloutError
from acclimate_hub.rollout.gate import Gate, Outcomes, Verdict, VerdictKind
from acclimate_hub.rollout.machine import GATE, Act, Step
from acclimate_hub.rollout.plan import RolloutPlan
from acclimate_hub.rollout.records import RETURNING, DeviceRow, Phase, Rollout, Transition
from acclimate_hub.rollout.store import Store
from acclimate_hub.rollout.wire import checked
from acclimate_shared.messages.down import Desired, SwitchSlot
from acclimate_shared.rollout_reports import CRITERIA, BlockReport, Report
from acclimate_shared.waves import Stage, checked_digest

TRIES = 64  # of a compare-and-set, before the caller is told to come again
COMMAND_S = 3600.0  # that a command to return is valid
RETURN_REASONS = {Phase.ABORTED: "rollout-aborted", Phase.ROLLED_BACK: "rollout-rolled-back"}
OPEN = frozenset({Phase.WAVE, Phase.PAUSED})  # phases in which a rollout has its cohorts for itself
_CHANGES = {
    VerdictKind.PASS: machine.advance,
    VerdictKind.HALT: machine.abort,
    VerdictKind.STARVED: machine.pause,
}


class Rollouts:
    """See the module. ``clock`` returns seconds since 1970, by the hub."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        """Keep everything in ``store``."""
        self._store, self._clock = store, clock

    def create(
        self,
        name: str,
        plan: RolloutPlan,
        *,
        author: str,
        digest: str,
        previous: str,
        salt: str,
        cohorts: Iterable[str],
    ) -> Rollout:
        """Draft a rollout.

        Args:
            name: Its id, not used before.
            plan: Fixed from now on.
            author: Who drafts it.
            digest: SHA-256 of the new base, hex.
            previous: Of the model that it replaces.
            salt: Random; decides who goes first.
            cohorts: That it addresses.

        Raises:
            InputError: If a digest is none, or the document would be too long.
            TransitionError: If the name is taken or nobody is addressed.
        """
        checked_digest(digest, "digest")
        checked_digest(previous, "previous")
        addressed = tuple(sorted(set(cohorts)))
        if not addressed or digest == previous:
            remedy = "give at least one cohort, and a base that is not the previous one"
            raise TransitionError("nothing to roll out", field="cohorts", value=addressed, remedy=remedy)
        rollout = Rollout(
            id=name,
            author=author,
            digest=digest,
            previous=previous,
            salt=salt,
            cohorts=addressed,
            plan=plan,
        )
        for cohort in addressed:
            checked(machine.desired(rollout, cohort))
        transition = Transition(
            rollout=name,
            version=1,
            time_s=self._clock(),
            who=author,
            action="create",
            before=Phase.DRAFT,
            after=Phase.DRAFT,
            wave=-1,
            why="drafted",
            numbers={},
        )
        if not self._store.swap(rollout, transition):
            raise TransitionError("the name is taken", field="id", value=name, remedy="give another")
        return rollout

    def get(self, name: str) -> Rollout:
        """Return a rollout.

        Raises:
            UnknownRolloutError: If there is none of this name.
        """
        rollout = self._store.rollout(name)
        if rollout is None:
            raise UnknownRolloutError("no such rollout", field="id", value=name, remedy="list the rollouts")
        return rollout

    def all(self) -> list[Rollout]:
        """Return all, in order of number and id."""
        return list(self._store.rollouts())

    def current(self) -> dict[str, Rollout]:
        """Return, for each cohort, the rollout that was started last for it: what it says is what the cohort runs."""
        started = [one for one in self.all() if one.number]
        return {cohort: one for one in sorted(started, key=lambda one: one.number) for cohort in one.cohorts}

    def approve(self, name: str, who: str, why: str) -> Rollout:
        """See `machine.approve`; raises also UnknownRolloutError, ConflictError."""
        return self._act(machine.approve, name, who, why)

    def start(self, name: str, who: str, why: str) -> Rollout:
        """See `machine.start`; refused while another rollout has one of the cohorts."""

        def change(rollout: Rollout, act: Act) -> Step:
            others = [other for other in self._store.rollouts() if other.id != name]
            taken = [other.id for other in others if other.phase in OPEN and set(other.cohorts) & set(rollout.cohorts)]
            if taken:
                remedy = "wait until it has ended, or abort it"
                raise TransitionError("a cohort is taken", field="rollout", value=taken[0], remedy=remedy)
            return machine.start(rollout, act, 1 + max((other.number for other in others), default=0))

        return self._act(change, name, who, why)

    def pause(self, name: str, who: str, why: str) -> Rollout:
        """See `machine.pause`."""
        return self._act(machine.pause, name, who, why)

    def resume(self, name: str, who: str, why: str) -> Rollout:
        """See `machine.resume`."""
        return self._act(machine.resume, name, who, why)

    def abort(self, name: str, who: str, why: str) -> Rollout:
        """See `machine.abort`; then send `returns` until it is empty."""
        return self._act(machine.abort, name, who, why)

    def roll_back(self, name: str, who: str, why: str) -> Rollout:
        """See `machine.roll_back`; refused when a later one went to its cohorts. Then send `returns` until empty."""

        def change(rollout: Rollout, act: Act) -> Step:
            for other in self._store.rollouts():
                if other.number > rollout.number and set(other.cohorts) & set(rollout.cohorts):
                    remedy = "roll back the later one, or release the older base again"
                    raise TransitionError(
                        "a later rollout stands on it", field="rollout", value=other.id, remedy=remedy
                    )
            return machine.roll_back(rollout, act)

        return self._act(change, name, who, why)

    def retry(self, name: str, who: str, why: str) -> Rollout:
        """See `machine.retry`."""
        return self._act(machine.retry, name, who, why)

    def desired(self, name: str, cohort: str) -> Desired:
        """Return the document to retain for a cohort; publish it again whenever its revision has grown."""
        return machine.desired(self.get(name), cohort)

    def report(self, report: Report, cohort: str) -> DeviceRow:
        """Take what a device says about itself; the same again changes nothing.

        Args:
            report: From the device.
            cohort: The device's, as the hub knows it.

        Raises:
            InputError: If the report is out of range.
            UnknownRolloutError: If it is about none that is known.
            ConflictError: If others keep changing the row.
        """
        rollout = self.get(report.checked().rollout)
        block = self._block(rollout)
        return self._row(rollout, report.device, cohort, lambda row: applied(rollout, row, report, block))

    def presence(self, name: str, device: str, cohort: str, *, online: bool, boot: int) -> DeviceRow:
        """Take the birth or the last will of a device; one of an earlier boot changes nothing.

        Raises:
            UnknownRolloutError: If there is no such rollout.
            ConflictError: If others keep changing the row.
        """

        def change(row: DeviceRow) -> DeviceRow:
            if boot < row.boot or row.online == online:
                return row
            return msgspec.structs.replace(row, online=online, version=row.version + 1)

        return self._row(self.get(name), device, cohort, change)

    def measured(self, report: BlockReport) -> bool:
        """Keep what a device measured in a time block; return whether it will count.

        It does not if its watermark has passed, if the block has not ended, if it came before, or if no wave is open.

        Raises:
            InputError: If the report is out of range.
            UnknownRolloutError: If it is about none that is known.
        """
        rollout = self.get(report.checked().rollout)
        if rollout.phase is not Phase.WAVE or report.stage is not rollout.plan.waves[rollout.wave].stage:
            return False
        if not rollout.next_block <= report.block < self._block(rollout):
            return False
        if self._clock() >= (report.block + 1) * rollout.plan.block_s + rollout.plan.watermark_s:
            return False
        return self._store.add_block(report)

    def tick(self, name: str) -> Rollout:
        """Close the time blocks whose watermark has passed and do what the gate says.

        Raises:
            UnknownRolloutError: If there is no such rollout.
            ConflictError: If others keep changing it.
        """
        for _ in range(TRIES):
            rollout = self.get(name)
            if rollout.phase is not Phase.WAVE:
                return rollout
            step = self._ticked(rollout)
            if step is None:
                return rollout
            if self._store.swap(*step):
                self._tidy(step[0])
                return step[0]
        raise _conflict(name)

    def outcomes(self, rollout: Rollout) -> Outcomes:
        """Count the devices of the wave in progress, and those of its stage in all waves."""
        return self._counted(rollout, list(self._store.devices(rollout.id)))

    def _counted(self, rollout: Rollout, rows: list[DeviceRow]) -> Outcomes:
        stage = rollout.plan.waves[rollout.wave].stage
        begun = [row for row in rows if row.stage is stage and (row.state in BEGUN or row.ever_failed)]
        wave = [row for row in begun if row.wave == rollout.wave]
        return Outcomes(
            serving=stage is Stage.SERVE,
            begun=len(wave),
            succeeded=sum(succeeded(rollout, row) for row in wave),
            ever_begun=len(begun),
            ever_failed=sum(row.ever_failed for row in begun),
        )

    def verdict(self, rollout: Rollout) -> Verdict | None:
        """Return what the gate of the wave in progress says now; None when there is none."""
        if rollout.phase is not Phase.WAVE:
            return None
        return Gate.from_bytes(rollout.plan, rollout.gate).verdict(self.outcomes(rollout))

    def returns(self, name: str) -> list[tuple[str, SwitchSlot]]:
        """Return the commands that bring every online device back that has the base, as far as the hub knows.

        They follow from the state, so they may be asked for and sent as often as needed; devices that are offline see
        the retained document when they come back, and until then their own probation protects them.
        """
        rollout = self.get(name)
        if rollout.phase not in RETURNING:
            return []
        expires_s = self._clock() + COMMAND_S
        return [
            (
                row.device,
                SwitchSlot(
                    rollout=rollout.id,
                    number=rollout.number,
                    revision=rollout.revision,
                    digest=rollout.previous,
                    reason=RETURN_REASONS[rollout.phase],
                    expires_s=expires_s,
                ),
            )
            for row in self._store.devices(name)
            if row.online and holds(rollout, row)
        ]

    def _ticked(self, rollout: Rollout) -> tuple[Rollout, Transition | None] | None:
        """Return what time makes of a rollout in a wave; None: nothing."""
        gate = Gate.from_bytes(rollout.plan, rollout.gate)
        now_s, first = self._clock(), gate.next_block
        rows = list(self._store.devices(rollout.id))
        outcomes = self._counted(rollout, rows)
        verdict = gate.verdict(outcomes)
        while verdict.kind is VerdictKind.WAITING and gate.due(now_s):
            self._close(rollout, gate, rows)
            verdict = gate.verdict(outcomes)
        act = Act(who=GATE, why=verdict.why, now_s=now_s, numbers=verdict.numbers)
        if verdict.kind in _CHANGES:
            return _CHANGES[verdict.kind](rollout, act)
        if gate.next_block == first:
            return None
        changes = {"gate": gate.to_bytes(), "next_block": gate.next_block, "version": rollout.version + 1}
        return msgspec.structs.replace(rollout, **changes), None

    def _close(self, rollout: Rollout, gate: Gate, rows: list[DeviceRow]) -> None:
        """Close the next block with the reports of its members."""
        plan, block = rollout.plan, gate.next_block
        stage = plan.waves[rollout.wave].stage
        members = {row.device for row in rows if row.wave == rollout.wave and row.stage is stage and row.scores(block)}
        found = [
            report.values(min_labels=plan.min_labels, clip=plan.clip)
            for report in sorted(self._store.blocks(rollout.id, block), key=lambda report: report.device)
            if report.device in members and report.stage is stage
        ]
        values = {name: np.array([device.get(name, np.nan) for device in found]) for name in CRITERIA}
        gate.close(block, members=len(members), values=values)

    def _block(self, rollout: Rollout) -> int:
        return int(self._clock() // rollout.plan.block_s)

    def _act(self, change: Callable[[Rollout, Act], Step], name: str, who: str, why: str) -> Rollout:
        for _ in range(TRIES):
            after, transition = change(self.get(name), Act(who=who, why=why, now_s=self._clock()))
            if self._store.swap(after, transition):
                self._tidy(after)
                return after
        raise _conflict(name)

    def _tidy(self, rollout: Rollout) -> None:
        """Forget measurements that no gate will ask for any more."""
        open_ = rollout.phase is Phase.WAVE
        self._store.drop_blocks(rollout.id, rollout.next_block if open_ else self._block(rollout) + 1)

    def _row(self, rollout: Rollout, device: str, cohort: str, change: Callable[[DeviceRow], DeviceRow]) -> DeviceRow:
        for _ in range(TRIES):
            old = self._store.device(rollout.id, device)
            row = old or DeviceRow(rollout=rollout.id, device=device, cohort=cohort, version=0)
            new = change(row)
            if new is row and old is not None:
                return row
            if self._store.swap_device(new if new is not row else msgspec.structs.replace(row, version=1)):
                return new
        raise _conflict(device)


def _conflict(name: str) -> ConflictError:
    return ConflictError("others keep changing it", field="id", value=name, remedy="try again")
