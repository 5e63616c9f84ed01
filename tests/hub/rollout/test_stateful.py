"""Rollouts, devices and a transport that loses, repeats and reorders, against what really happened on the devices."""

import math
from itertools import pairwise

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Phases
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from acclimate_hub.rollout import MemoryStore, Phase, Rollout, Rollouts, Transition, TransitionError
from acclimate_hub.rollout.devices import succeeded
from acclimate_hub.rollout.records import RETURNING
from acclimate_shared.messages.down import Desired, SwitchSlot
from acclimate_shared.rollout_reports import BlockReport, DeviceState, Report
from acclimate_shared.waves import Stage
from tests.hub.rollout.fleet import COHORT, NEW, OLD, Device, small_plan

NAME = "r1"
Message = Report | BlockReport
STEPS = {
    (Phase.DRAFT, "approve"): Phase.APPROVED,
    (Phase.APPROVED, "start"): Phase.WAVE,
    (Phase.WAVE, "pause"): Phase.PAUSED,
    (Phase.PAUSED, "resume"): Phase.WAVE,
    (Phase.DRAFT, "abort"): Phase.ABORTED,
    (Phase.APPROVED, "abort"): Phase.ABORTED,
    (Phase.WAVE, "abort"): Phase.ABORTED,
    (Phase.PAUSED, "abort"): Phase.ABORTED,
    (Phase.DONE, "roll_back"): Phase.ROLLED_BACK,
    (Phase.WAVE, "retry"): Phase.WAVE,
    (Phase.PAUSED, "retry"): Phase.PAUSED,
    (Phase.DONE, "retry"): Phase.DONE,
}
ACTIONS = sorted({action for _, action in STEPS})


class RolloutMachine(RuleBasedStateMachine):
    """The world; ``phase`` and the devices' own memory are the oracle."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.store = MemoryStore()
        self.hubs = [Rollouts(self.store, lambda: self.now) for _ in range(2)]
        self.devices: dict[str, Device] = {}
        self.up: list[Message] = []
        self.down: list[tuple[str, Desired | SwitchSlot]] = []
        self.measured: dict[tuple[str, int], float] = {}
        facts = {"author": "ann", "digest": NEW, "previous": OLD, "salt": "s"}
        self.hubs[0].create(NAME, small_plan(), cohorts=(COHORT,), **facts)
        self.phase, self.actions = Phase.DRAFT, 1

    @initialize(good=st.lists(st.booleans(), min_size=3, max_size=6), begun=st.booleans())
    def fleet(self, good: list[bool], begun: bool) -> None:
        for i, fine in enumerate(good):
            self.devices[f"d{i}"] = Device(f"d{i}", good=fine or i < 4)
        if begun:
            self.begins()

    @rule(data=st.data())
    def appears_later(self, data: st.DataObject) -> None:
        if len(self.devices) < 10:
            name = f"d{len(self.devices)}"
            self.devices[name] = Device(name, good=data.draw(st.booleans()))

    @rule(action=st.sampled_from(ACTIONS), hub=st.integers(0, 1))
    def somebody_acts(self, action: str, hub: int) -> None:
        expected = STEPS.get((self.phase, action))
        try:
            after: Rollout = getattr(self.hubs[hub], action)(NAME, "bob", "because")
        except TransitionError:
            assert expected is None
        else:
            assert after.phase is expected
            self.phase, self.actions = after.phase, self.actions + 1

    @rule()
    def begins(self) -> None:
        """Get to the first wave quickly: most of the interest is there."""
        for action in ("approve", "start"):
            if (self.phase, action) in STEPS:
                self.somebody_acts(action, 0)

    @rule(seconds=st.sampled_from([1.0, 7.0, 10.0, 35.0]), hub=st.integers(0, 1))
    def time_passes(self, seconds: float, hub: int) -> None:
        self.now += seconds
        for device in self.devices.values():
            device.passes(seconds)
        before = self.store.rollout(NAME)
        after = self.hubs[hub].tick(NAME)
        if before is not None and (before.phase, before.wave) != (after.phase, after.wave):
            assert before.phase is Phase.WAVE
            self.actions += 1
        self.phase = after.phase

    @rule(gain=st.sampled_from([0.0, 0.0, 0.02, -0.04]), blocks=st.integers(5, 30))
    def all_goes_well_for_a_while(self, gain: float, blocks: int) -> None:
        """Everybody is connected, works and measures: how a wave comes to its end."""
        for _ in range(blocks):
            for name in self.devices:
                self.is_told(name)
                self.devices[name].step()
                self.speaks(name)
                self.measures(name, gain)
            while self.up:
                self.arrives(0, again=False)
            while self.down:
                self.reaches(0, again=False)
            self.time_passes(10.0, 0)

    def is_told(self, name: str) -> None:
        rollout = self.hubs[0].get(NAME)
        if rollout.number:
            self.devices[name].hears(self.hubs[0].desired(NAME, COHORT))

    def measures(self, name: str, gain: float) -> None:
        device, block = self.devices[name], int(self.now // 10) - 1
        device.seq += 1
        facts = {"device": name, "boot": device.boot, "seq": device.seq, "rollout": NAME, "stage": device.stage}
        sizes = {"block": block, "labels": 10, "gain": 10 * gain, "asked": 10}
        self.up.append(msgspec.convert({**facts, **sizes}, BlockReport))

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def works(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.devices)))
        self.devices[name].step()
        self.speaks(name)

    def speaks(self, name: str) -> None:
        if self.devices[name].desired is not None or self.devices[name].returned:
            self.up.append(self.devices[name].report(NAME))

    @precondition(lambda self: self.devices)
    @rule(data=st.data(), gain=st.floats(-0.5, 0.5))
    def measures_something(self, data: st.DataObject, gain: float) -> None:
        self.measures(data.draw(st.sampled_from(sorted(self.devices))), gain)

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def restarts(self, data: st.DataObject) -> None:
        self.devices[data.draw(st.sampled_from(sorted(self.devices)))].restart()

    @precondition(lambda self: self.devices)
    @rule(data=st.data(), online=st.booleans())
    def comes_or_goes(self, data: st.DataObject, online: bool) -> None:
        device = self.devices[data.draw(st.sampled_from(sorted(self.devices)))]
        device.online = online
        self.hubs[0].presence(NAME, device.name, COHORT, online=online, boot=device.boot)

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def is_published(self, data: st.DataObject) -> None:
        if self.hubs[0].get(NAME).number:
            name = data.draw(st.sampled_from(sorted(self.devices)))
            self.down.append((name, self.hubs[0].desired(NAME, COHORT)))

    @rule()
    def is_called_back(self) -> None:
        self.down += self.hubs[1].returns(NAME)

    @precondition(lambda self: self.up)
    @rule(index=st.integers(0, 1000), again=st.booleans())
    def arrives(self, index: int, again: bool) -> None:
        """Any message, in any order; perhaps it comes again."""
        message = self.up[index % len(self.up)]
        if not again:
            self.up.remove(message)
        hub = self.hubs[index % 2]
        if isinstance(message, BlockReport):
            hub.measured(message)
            assert not hub.measured(message)
            return
        once = hub.report(message, COHORT)
        assert hub.report(message, COHORT) == once

    @precondition(lambda self: self.up)
    @rule(index=st.integers(0, 1000))
    def is_lost(self, index: int) -> None:
        self.up.pop(index % len(self.up))

    @precondition(lambda self: self.down)
    @rule(index=st.integers(0, 1000), again=st.booleans())
    def reaches(self, index: int, again: bool) -> None:
        name, document = self.down[index % len(self.down)]
        if not again:
            self.down.pop(index % len(self.down))
        self.devices[name].hears(document)

    @invariant()
    def success_means_it_ran(self) -> None:
        rollout = self.hubs[0].get(NAME)
        for row in self.store.devices(NAME):
            if succeeded(rollout, row):
                assert self.devices[row.device].longest.get(NEW, 0.0) >= rollout.plan.probation_s
            assert row.state is not DeviceState.OFFLINE

    @invariant()
    def no_transition_is_lost(self) -> None:
        history = list(self.store.transitions(NAME))
        assert len(history) == self.actions
        assert [t.version for t in history] == sorted({t.version for t in history})
        assert all(one.after is two.before for one, two in pairwise(history))
        assert history[-1].after is self.phase is self.hubs[0].get(NAME).phase
        assert all(t.who and t.why for t in history)

    @invariant()
    def a_wave_advances_on_numbers_only(self) -> None:
        plan = small_plan()
        for transition in self.store.transitions(NAME):
            if transition.action == "advance":
                numbers = transition.numbers
                assert numbers["counted"] >= plan.min_blocks
                assert numbers["loss.log_e"] >= numbers["loss.threshold"] >= math.log(1 / plan.alpha)
                if plan.waves[transition.wave].stage is Stage.SERVE and transition.before is transition.after:
                    continue
                if transition.after is Phase.DONE:
                    assert numbers["succeeded"] >= plan.min_devices

    @invariant()
    def nobody_is_served_by_a_wave_in_shadow(self) -> None:
        waves = [t.wave for t in self.store.transitions(NAME)]
        if max(waves, default=-1) < 1:
            assert all(device.slot == OLD for device in self.devices.values())

    def teardown(self) -> None:
        """Once the rollout has been called off, one clean exchange brings everybody who is connected back."""
        rollout = self.hubs[0].get(NAME)
        if rollout.phase in RETURNING:
            for device in self.devices.values():
                if device.online and device.desired is not None:
                    self.hubs[0].report(device.report(NAME), COHORT)
            for name, command in self.hubs[0].returns(NAME):
                self.devices[name].hears(command)
            for device in self.devices.values():
                if device.online and device.desired is not None:
                    assert device.slot == OLD
                    self.hubs[0].report(device.report(NAME), COHORT)
            assert not [device for device, _ in self.hubs[0].returns(NAME) if self.devices[device].online]
        super().teardown()


QUICK = settings(max_examples=80, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(QUICK, max_examples=3_000, stateful_step_count=60)
TestRollouts = RolloutMachine.TestCase
TestRollouts.settings = QUICK


@pytest.mark.long
def test_rollouts_at_length() -> None:
    run_state_machine_as_test(RolloutMachine, settings=LONG)


class Credulous(RolloutMachine):
    """A hub that takes "verified" for success, as some do: the machine must see it."""

    def time_passes_for_the_credulous(self) -> None:
        for row in self.store.devices(NAME):
            if row.state is DeviceState.VERIFIED:
                believed = {"state": DeviceState.RUNNING, "stage": Stage.SERVE, "digest": NEW, "served_s": 1e9}
                self.store.swap_device(msgspec.structs.replace(row, version=row.version + 1, **believed))

    @invariant()
    def success_means_it_ran(self) -> None:
        self.time_passes_for_the_credulous()
        super().success_means_it_ran()


class Careless(RolloutMachine):
    """A store that forgets one record of a transition."""

    def __init__(self) -> None:
        super().__init__()
        swap, store = self.store.swap, self.store

        def forgetful(new: Rollout, transition: Transition | None) -> bool:
            return swap(new, None if new.phase is Phase.APPROVED else transition)

        store.swap = forgetful  # type: ignore[method-assign]


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Credulous, Careless])
def test_a_broken_hub_is_found_out(machine: type[RolloutMachine]) -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=settings(QUICK, phases=[Phases.generate], database=None))
