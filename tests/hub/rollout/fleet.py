"""An honest device as the hub meets it, and a transport that loses, repeats and reorders: the other half of a rollout.

The device keeps the truth of what answered on it and for how long, so a test can hold the hub's claims against it.
"""

from dataclasses import dataclass, field

from acclimate_hub.rollout import Criterion, RolloutPlan, Wave
from acclimate_shared.messages.down import Desired, SwitchSlot
from acclimate_shared.rollout_reports import DeviceState, Report
from acclimate_shared.waves import Action, Stage

NEW, OLD = "d" * 64, "c" * 64
COHORT = "home"
ORDER = (DeviceState.TOLD, DeviceState.DOWNLOADING, DeviceState.VERIFIED)


def small_plan(**changes: object) -> RolloutPlan:
    """Return a plan whose gate needs few devices and blocks; the loss alone is asked for."""
    loss = Criterion(name="loss", low=-0.03, high=0.03, expect=0, limit=0.015, halt=0.01, bad=0.03, sd=0.006)
    facts: dict[str, object] = {
        "waves": (Wave(percent=50.0, stage=Stage.SHADOW), Wave(percent=50.0), Wave(percent=100.0)),
        "criteria": (loss,),
        "group": 1,
        "halt_group": 1,
        "min_devices": 2,
        "min_blocks": 4,
        "max_blocks": 40,
        "block_s": 10.0,
        "watermark_s": 5.0,
        "probation_s": 30.0,
        "second_person": False,
    }
    return RolloutPlan(**{**facts, **changes})  # type: ignore[arg-type]


@dataclass
class Device:
    """A device that follows the latest document it has seen, and tells the truth about itself."""

    name: str
    good: bool = True  # whether the base survives its probation here
    boot: int = 1
    seq: int = 0
    online: bool = True
    desired: Desired | None = None
    seen: tuple[int, int] = (0, 0)  # order of the latest document or command
    state: DeviceState = DeviceState.TOLD
    stage: Stage = Stage.SHADOW
    slot: str = OLD  # what answers
    served_s: float = 0.0  # that the slot's model has answered
    attempt: int = 0
    returned: bool = False
    longest: dict[str, float] = field(default_factory=dict)  # the truth: longest run of each digest

    def hears(self, document: Desired | SwitchSlot) -> None:
        """Take a document or a command, unless a later one is known."""
        order = document.order
        if order < self.seen:
            return
        self.seen = order
        if isinstance(document, SwitchSlot):
            self.go_back()
            self.returned = True
            return
        self.desired = document
        if document.action is Action.RETURN:
            if self.slot == document.digest or self.state is not DeviceState.TOLD:
                self.go_back()
            self.returned = True

    def go_back(self) -> None:
        """Switch the slot: no download."""
        if self.slot == NEW:
            self.slot, self.served_s = OLD, 0.0
        self.state = DeviceState.ROLLED_BACK

    def step(self) -> None:
        """Do the next thing that the document asks for."""
        desired = self.desired
        if desired is None or self.returned or desired.action is Action.RETURN:
            return
        asked = desired.asks(self.name)
        if asked is None:
            return
        if self.state in (DeviceState.FAILED, DeviceState.ROLLED_BACK):
            if self.attempt >= desired.attempt or desired.action is Action.HOLD:
                return
            self.state, self.good = DeviceState.TOLD, True
        if self.state is DeviceState.TOLD and desired.action is Action.HOLD:
            return
        self.attempt = desired.attempt
        if self.state in ORDER[:-1]:
            self.state = ORDER[ORDER.index(self.state) + 1]
        elif self.state is DeviceState.VERIFIED and asked is Stage.SERVE and desired.action is Action.GO:
            self.stage, self.state, self.slot, self.served_s = Stage.SERVE, DeviceState.PROBATION, NEW, 0.0

    def passes(self, seconds: float) -> None:
        """Let time pass: what answers goes on answering; a bad base dies within its probation."""
        self.served_s += seconds
        if self.state is DeviceState.PROBATION and self.desired is not None:
            if not self.good:
                self.go_back()
            elif self.served_s >= self.desired.probation_s:
                self.state = DeviceState.RUNNING
        self.longest[self.slot] = max(self.longest.get(self.slot, 0.0), self.served_s)

    def restart(self) -> None:
        """Start anew; a probation that was cut short begins again."""
        self.boot, self.seq = self.boot + 1, 0
        if self.state is DeviceState.PROBATION:
            self.served_s = 0.0

    def report(self, rollout: str) -> Report:
        """Say where it stands."""
        self.seq += 1
        return Report(
            device=self.name,
            boot=self.boot,
            seq=self.seq,
            rollout=rollout,
            attempt=self.attempt,
            stage=self.stage,
            state=self.state,
            digest=self.slot,
            served_s=self.served_s,
            warm=self.state in (DeviceState.VERIFIED, DeviceState.PROBATION, DeviceState.RUNNING),
            revision=self.seen[1],
        )
