"""The service over a store: what devices report, and what time brings."""

import msgspec
import pytest

from acclimate_hub.rollout import MemoryStore, Phase, Rollouts, TransitionError, UnknownRolloutError
from acclimate_hub.rollout.devices import succeeded
from acclimate_shared.errors import InputError
from acclimate_shared.rollout_reports import DeviceState, Report
from acclimate_shared.waves import Action, Stage
from tests.hub.rollout.fleet import COHORT, NEW, OLD, Device, small_plan
from tests.hub.rollout.world import NAME, World


def test_a_good_rollout_from_beginning_to_end_and_back() -> None:
    world = World().started()
    rollout = world.until(Phase.DONE)
    assert all(succeeded(rollout, row) for row in world.store.devices(NAME))
    assert all(device.longest[NEW] >= 30.0 for device in world.devices.values())
    actions = [transition.action for transition in world.store.transitions(NAME)]
    assert actions == ["create", "approve", "start", "advance", "advance", "advance"]
    world.hub.roll_back(NAME, "ann", "a complaint")
    assert world.hub.desired(NAME, COHORT).action is Action.RETURN
    for device, command in world.hub.returns(NAME):
        world.devices[device].hears(command)
    assert {device.slot for device in world.devices.values()} == {OLD}
    world.round()
    assert world.hub.returns(NAME) == []
    assert {row.state for row in world.store.devices(NAME)} == {DeviceState.ROLLED_BACK}
    assert not any(row.ever_failed for row in world.store.devices(NAME))


def test_a_bad_base_is_aborted_in_shadow_and_serves_nobody() -> None:
    world = World().started()
    rollout = world.until(Phase.ABORTED, loss=0.03)
    assert rollout.why.startswith("loss")
    assert all(device.longest.get(NEW, 0.0) == 0.0 for device in world.devices.values())


def test_finished_without_anybody_having_booted_the_new_version() -> None:
    """Every device says "running" at once, and goes on answering with the old base: no success, and no wave passes.

    The case of eclipse-hawkbit/hawkbit issue 3185.
    """
    world = World(max_blocks=30).started()
    for _ in range(60):
        for i, device in enumerate(world.devices.values()):
            device.seq += 1
            claim = Report(
                device=device.name,
                boot=1,
                seq=device.seq,
                rollout=NAME,
                attempt=1,
                stage=Stage.SERVE,
                state=DeviceState.RUNNING,
                digest=OLD if i % 2 else NEW,
                served_s=1e6 if i % 2 else 0.0,
                warm=True,
            )
            row = world.hub.report(claim, COHORT)
            assert row.state is (DeviceState.FAILED if i % 2 else DeviceState.PROBATION)
            assert row.reason
            world.hub.measured(world.block(device, 0.0, stage=Stage.SHADOW))
        world.now += 10.0
        world.hub.tick(NAME)
        assert not any(succeeded(world.rollout, row) for row in world.store.devices(NAME))
    assert world.rollout.wave == 0
    assert world.rollout.phase is Phase.PAUSED


def test_no_success_no_pass_even_if_every_loss_is_good() -> None:
    world = World(max_blocks=40, probation_s=1e6).started()
    rollout = world.until(Phase.PAUSED)
    assert rollout.wave == 1
    assert "successes: 0 of 2 devices" in rollout.why


def test_silence_pauses_and_resume_starts_the_evidence_anew() -> None:
    world = World(devices=0, max_blocks=12).started()
    rollout = world.until(Phase.PAUSED)
    assert "0 of 4 blocks" in rollout.why
    world.devices = {f"d{i}": Device(f"d{i}") for i in range(6)}
    world.hub.resume(NAME, "bob", "devices are there now")
    assert world.until(Phase.DONE).phase is Phase.DONE


def test_devices_that_appear_after_the_end_join() -> None:
    world = World().started()
    world.until(Phase.DONE)
    late = world.devices["late"] = Device("late")
    for _ in range(12):
        world.round()
    row = world.store.device(NAME, "late")
    assert row is not None
    assert succeeded(world.rollout, row)
    assert late.slot == NEW


def test_members_of_a_block_were_fixed_before_it_began() -> None:
    world = World().started()
    device = world.devices["d0"]
    device.hears(world.hub.desired(NAME, COHORT))
    for _ in range(2):
        device.step()
    block = int(world.now // 10)
    row = world.hub.report(device.report(NAME), COHORT)
    assert row.scored_from == block + 1
    assert [row.scores(b) for b in (block, block + 1, block + 50)] == [False, True, True]
    world.now += 100.0
    device.state = DeviceState.FAILED
    row = world.hub.report(device.report(NAME), COHORT)
    assert [row.scores(b) for b in (block + 1, block + 10, block + 11)] == [True, True, False]


def test_a_block_counts_once_in_time_and_for_the_stage_of_the_wave() -> None:
    world = World().started()
    device = world.devices["d0"]
    world.now = 1026.0  # block 101 ended at 1020, its watermark is 1025
    report = world.block(device, 0.0, block=101)
    assert not world.hub.measured(report)
    world.now = 1024.0
    assert world.hub.measured(report)
    assert not world.hub.measured(msgspec.structs.replace(report, gain=3.0, seq=99))
    assert not world.hub.measured(world.block(device, 0.0, block=102, device="d1"))  # has not ended
    assert not world.hub.measured(world.block(device, 0.0, block=100, device="d1"))  # before the wave
    assert not world.hub.measured(world.block(device, 0.0, stage=Stage.SERVE, block=101, device="d1"))
    world.hub.pause(NAME, "bob", "lunch")
    assert not world.hub.measured(world.block(device, 0.0, block=101, device="d1"))
    with pytest.raises(InputError):
        world.hub.measured(world.block(device, 9.0))


def test_a_stranger_is_not_scored() -> None:
    world = World().started()
    for name, cohort in (("d0", "elsewhere"), ("d1", COHORT)):
        device = world.devices[name]
        device.hears(world.hub.desired(NAME, COHORT))
        device.step()
        device.step()
        row = world.hub.report(device.report(NAME), cohort)
        assert (row.scored_from >= 0) == (cohort == COHORT)


def test_reports_in_any_order_end_in_the_latest() -> None:
    device, world = Device("d0"), World().started()
    device.hears(world.hub.desired(NAME, COHORT))
    reports = []
    for _ in range(3):
        device.step()
        reports.append(device.report(NAME))
    device.restart()
    reports.append(device.report(NAME))
    for order in ((3, 2, 1, 0), (0, 1, 2, 3), (2, 2, 0, 3, 1, 3)):
        fresh = World().started()
        for i in order:
            fresh.hub.report(reports[i], COHORT)
        row = fresh.store.device(NAME, "d0")
        assert row is not None
        assert (row.boot, row.seq, row.state) == (2, 1, device.state)


def test_presence_shows_offline_and_an_old_will_changes_nothing() -> None:
    world = World().started()
    assert world.hub.presence(NAME, "d0", COHORT, online=True, boot=1).state is DeviceState.PENDING
    device = world.devices["d0"]
    device.boot = 2
    device.hears(world.hub.desired(NAME, COHORT))
    device.step()
    world.hub.report(device.report(NAME), COHORT)
    assert world.hub.presence(NAME, "d0", COHORT, online=False, boot=1).shown is DeviceState.DOWNLOADING
    row = world.hub.presence(NAME, "d0", COHORT, online=False, boot=2)
    assert (row.shown, row.state) == (DeviceState.OFFLINE, DeviceState.DOWNLOADING)
    assert world.hub.report(device.report(NAME), COHORT).online


def test_failures_are_retried_when_asked_and_stay_on_record() -> None:
    world = World(max_failed=0.5, bad_failed=0.6, min_success=0.5).started()
    world.devices["d0"].good = False
    world.until(Phase.DONE)
    row = world.store.device(NAME, "d0")
    assert row is not None
    assert (row.state, row.ever_failed) == (DeviceState.ROLLED_BACK, True)
    world.hub.retry(NAME, "ann", "the disk was full")
    for _ in range(12):
        world.round()
    row = world.store.device(NAME, "d0")
    assert row is not None
    assert (row.state, row.attempt, row.ever_failed) == (DeviceState.RUNNING, 2, True)


def test_commands_are_the_same_each_time_and_only_for_those_who_need_them() -> None:
    world = World().started()
    while world.rollout.wave < 1:
        world.round()
    for _ in range(4):
        world.round()
    world.devices["d0"].online = False
    world.hub.presence(NAME, "d0", COHORT, online=False, boot=1)
    assert world.hub.returns(NAME) == []
    world.hub.abort(NAME, "ann", "stop")
    commands = world.hub.returns(NAME)
    assert world.hub.returns(NAME) == commands
    assert {device for device, _ in commands} == {"d1", "d2", "d3", "d4", "d5"}
    assert all(command.digest == OLD and command.expires_s > world.now for _, command in commands)
    world.devices["d1"].hears(commands[0][1])
    world.hub.report(world.devices["d1"].report(NAME), COHORT)
    assert "d1" not in {device for device, _ in world.hub.returns(NAME)}
    # One that comes back later finds the retained document.
    world.devices["d0"].hears(world.hub.desired(NAME, COHORT))
    assert world.devices["d0"].slot == OLD


def test_one_rollout_a_cohort_and_the_latest_only_is_rolled_back() -> None:
    world = World().started()
    for name in ("r2", "r3"):
        world.hub.create(name, small_plan(), author="ann", **World.facts())  # type: ignore[arg-type]
        world.hub.approve(name, "bob", "fine")
    with pytest.raises(TransitionError, match="cohort is taken"):
        world.hub.start("r2", "bob", "now")
    world.until(Phase.DONE)
    world.hub.start("r3", "bob", "now")
    assert world.hub.get("r3").number == world.rollout.number + 1
    with pytest.raises(TransitionError, match="later rollout"):
        world.hub.roll_back(NAME, "ann", "no")
    world.hub.abort("r3", "ann", "stop")
    world.hub.start("r2", "bob", "now")
    assert world.hub.get("r2").number == world.rollout.number + 2


@pytest.mark.parametrize("change", [{"digest": "x"}, {"previous": NEW}, {"cohorts": ()}, {"salt": "s" * 3000}])
def test_a_draft_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    hub = Rollouts(MemoryStore(), lambda: 0.0)
    with pytest.raises((InputError, TransitionError)):
        hub.create(NAME, small_plan(), author="ann", **{**World.facts(), **change})  # type: ignore[arg-type]


def test_names_are_used_once_and_unknown_ones_refused() -> None:
    world = World()
    with pytest.raises(TransitionError, match="taken"):
        world.hub.create(NAME, small_plan(), author="ann", **World.facts())  # type: ignore[arg-type]
    with pytest.raises(UnknownRolloutError):
        world.hub.tick("r9")
    assert world.hub.verdict(world.rollout) is None
    assert world.hub.returns(NAME) == []
    assert world.hub.tick(NAME).phase is Phase.DRAFT


def test_a_hub_that_was_down_closes_what_it_missed_without_data() -> None:
    world = World().started()
    for _ in range(3):
        world.round()
    world.now += 200.0
    rollout = world.hub.tick(NAME)
    assert rollout.phase is Phase.WAVE
    verdict = world.hub.verdict(rollout)
    assert verdict is not None
    assert verdict.numbers["blocks"] >= 19
    assert verdict.numbers["counted"] <= 3
    assert list(world.store.blocks(NAME, 101)) == []


def test_measurements_that_no_gate_will_ask_for_are_forgotten() -> None:
    world = World().started()
    world.now = 1022.0
    assert world.hub.measured(world.block(world.devices["d0"], 0.0, block=101))
    assert len(list(world.store.blocks(NAME, 101))) == 1
    world.hub.abort(NAME, "ann", "stop")
    assert list(world.store.blocks(NAME, 101)) == []
