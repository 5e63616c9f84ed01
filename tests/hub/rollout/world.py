"""A hub with a store, a clock, and honest devices: the smallest world in which a rollout can happen."""

import msgspec

from acclimate_hub.rollout import MemoryStore, Phase, Rollout, Rollouts, Store
from acclimate_shared.rollout_reports import BlockReport
from tests.hub.rollout.fleet import COHORT, NEW, OLD, Device, small_plan

NAME = "r1"


class World:
    """A hub, a clock, and devices that are all members of every wave."""

    def __init__(self, devices: int = 6, store: Store | None = None, **plan: object) -> None:
        self.now = 1000.0
        self.store: Store = store or MemoryStore()
        self.hub = Rollouts(self.store, lambda: self.now)
        waves = plan.pop("waves", None) or tuple(
            msgspec.structs.replace(wave, percent=percent)
            for wave, percent in zip(small_plan().waves, (100.0, 40.0, 100.0), strict=True)
        )
        self.hub.create(NAME, small_plan(waves=waves, **plan), author="ann", **self.facts())  # type: ignore[arg-type]
        self.devices = {f"d{i}": Device(f"d{i}") for i in range(devices)}

    @staticmethod
    def facts() -> dict[str, object]:
        return {"digest": NEW, "previous": OLD, "salt": "s", "cohorts": (COHORT,)}

    def started(self) -> "World":
        self.hub.approve(NAME, "bob", "looked at it")
        self.hub.start(NAME, "bob", "now")
        return self

    @property
    def rollout(self) -> Rollout:
        return self.hub.get(NAME)

    def round(self, loss: float = 0.0, seconds: float = 10.0) -> None:
        """Everybody connected hears, works, reports and measures; then time passes."""
        desired = self.hub.desired(NAME, COHORT)
        for device in self.devices.values():
            if device.online:
                device.hears(desired)
                device.step()
                self.hub.report(device.report(NAME), COHORT)
                self.hub.measured(self.block(device, loss))
        self.now += seconds
        for device in self.devices.values():
            device.passes(seconds)
        self.hub.tick(NAME)

    def block(self, who: Device, loss: float, **changes: object) -> BlockReport:
        who.seq += 1
        facts = {"device": who.name, "boot": who.boot, "seq": who.seq, "rollout": NAME}
        sizes = {"stage": who.stage, "block": int(self.now // 10) - 1, "labels": 10, "gain": -10 * loss}
        return BlockReport(**{**facts, **sizes, **changes})  # type: ignore[arg-type]

    def until(self, phase: Phase, rounds: int = 200, loss: float = 0.0) -> Rollout:
        for _ in range(rounds):
            if self.rollout.phase is phase:
                return self.rollout
            self.round(loss)
        raise AssertionError(f"{self.rollout.phase}, {self.rollout.why}")
