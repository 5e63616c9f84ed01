"""What the hub keeps of a rollout: the rollout itself, a row a device, and every transition for the record.

All are values; a change makes a new one whose ``version`` is one more, and a store takes it only in place of the very
version that it was made from (compare-and-set).
"""

from enum import StrEnum

import msgspec

from acclimate_hub.rollout.plan import RolloutPlan
from acclimate_shared.rollout_reports import DeviceState
from acclimate_shared.waves import Stage


class Phase(StrEnum):
    """Where a rollout stands."""

    DRAFT = "draft"
    APPROVED = "approved"
    WAVE = "wave"
    PAUSED = "paused"
    DONE = "done"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled back"


RETURNING = frozenset({Phase.ABORTED, Phase.ROLLED_BACK})


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout.

    Attributes:
        id: Its name; ``number``: its place among the started rollouts of the tenant, growing; 0: not started.
        author: Who drafted it; ``approver``: who approved it, "" before.
        digest: Of the new base, hex; ``previous``: of the model to return to.
        salt: Of the membership; random, drawn by who creates it.
        cohorts: That it addresses.
        plan: See `RolloutPlan`.
        phase: See `Phase`; ``wave``: index of the wave in progress or last in progress, -1 before the first.
        attempt: From 1; a retry of the failed adds one.
        revision: Of the document that the devices see: grows when that changes.
        version: Grows with every change.
        gate: State of the gate of the wave, as bytes; empty outside of waves.
        next_block: The time block that the gate closes next: reports of earlier ones come too late.
        why: Of the last transition.
    """

    id: str
    author: str
    digest: str
    previous: str
    salt: str
    cohorts: tuple[str, ...]
    plan: RolloutPlan
    phase: Phase = Phase.DRAFT
    wave: int = -1
    attempt: int = 1
    number: int = 0
    revision: int = 0
    version: int = 1
    approver: str = ""
    gate: bytes = b""
    next_block: int = 0
    why: str = ""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A change of phase, wave or attempt: who, why, and the numbers that it rests on."""

    rollout: str
    version: int  # of the rollout after it
    time_s: float
    who: str
    action: str
    before: Phase
    after: Phase
    wave: int
    why: str
    numbers: dict[str, float]


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub knows of one device in one rollout, by the device's own account.

    Attributes:
        rollout: Id; ``device``: name; ``cohort``: of the device when it was first heard.
        state: Never OFFLINE, see ``shown``; ``online``: whether it is connected.
        stage: Whether the base is in shadow or serves; ``wave``: the wave in progress when it came to this stage.
        attempt: Of its last report; ``boot``, ``seq``: order of its last report; ``revision``: of the document it knew.
        digest: Of the base that answers on it; "" while it has said nothing.
        served_s: Seconds that this has answered without a fault.
        scored_from: First time block whose losses count, fixed before they are seen; -1: none yet.
        scored_until: Last one; -1: no end.
        ever_failed: Whether it ever failed or went back in this stage, unasked; a retry that helps does not undo it.
        reason: Of its state.
        version: Grows with every change.
    """

    rollout: str
    device: str
    cohort: str = ""
    state: DeviceState = DeviceState.PENDING
    online: bool = True
    stage: Stage = Stage.SHADOW
    wave: int = -1
    attempt: int = 0
    boot: int = 0
    seq: int = -1
    revision: int = 0
    digest: str = ""
    served_s: float = 0.0
    scored_from: int = -1
    scored_until: int = -1
    ever_failed: bool = False
    reason: str = ""
    version: int = 1

    @property
    def shown(self) -> DeviceState:
        """The state, or OFFLINE."""
        return self.state if self.online else DeviceState.OFFLINE

    def scores(self, block: int) -> bool:
        """Return whether it is a member of a time block."""
        return 0 <= self.scored_from <= block and (self.scored_until < 0 or block <= self.scored_until)
