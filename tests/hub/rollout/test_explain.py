import msgspec

from acclimate_hub.rollout import Explanation, Phase, explain
from acclimate_shared.rollout_reports import DeviceState
from tests.hub.rollout.world import NAME, World


def said(world: World) -> Explanation:
    rollout = world.rollout
    outcomes = world.hub.outcomes(rollout)
    return explain(rollout, outcomes, world.store.devices(NAME), world.store.transitions(NAME))


def test_a_draft_and_an_approved_one_say_what_they_wait_for() -> None:
    world = World(second_person=True)
    assert "another person than the author must approve" in said(world).headline
    assert said(world).waits_for == ()
    world.hub.approve(NAME, "bob", "looked at it")
    assert said(world).headline.startswith("Approved")
    assert said(world).last == "bob: approve (looked at it)"


def test_a_wave_says_what_is_missing_and_how_far_it_is() -> None:
    world = World().started()
    for _ in range(4):
        world.round()
    one = said(world)
    assert one.headline.startswith("Wave 1 of 3 is in progress: waiting for")
    assert one.audience == "100 % of every cohort runs the base in shadow; nothing is answered by it"
    assert [item.name for item in one.waits_for] == ["devices", "time", "loss"]
    assert all(0 <= item.progress <= 1 for item in (*one.waits_for, *one.stops_if))
    loss = one.waits_for[2]
    assert not loss.met
    assert loss.sentence.startswith("Loss against the champion's: +0.00 points on average over")
    assert "+1.50 points or more must be ruled out" in loss.sentence
    assert one.stops_if[0].sentence == (
        "The rollout ends when it is shown that loss against the champion's is above +1.00 points."
    )
    assert "more than 2.00%" in one.stops_if[-1].sentence
    while world.rollout.wave == 0:
        before = said(world)
        world.round()
        if world.rollout.wave == 0:
            assert said(world).waits_for[2].value >= before.waits_for[2].value


def test_a_serving_wave_counts_successes_by_the_devices_own_reports() -> None:
    world = World().started()
    while world.rollout.wave < 1:
        world.round()
    world.round()
    one = said(world)
    assert one.waits_for[-1].name == "successes"
    assert "report that the base has answered on them for 30 s" in one.waits_for[-1].sentence
    assert one.successes == 0
    world.until(Phase.DONE)
    assert said(world).successes == 6
    assert said(world).devices == {str(DeviceState.RUNNING): 6}
    assert said(world).headline.startswith("Done")


def test_an_abort_says_which_harm_it_was() -> None:
    world = World().started()
    world.until(Phase.ABORTED, loss=0.03)
    one = said(world)
    assert one.headline.startswith("Aborted: loss: mean 0.03")
    assert one.last.startswith("gate: abort")
    assert one.to_return == 6
    for device, command in world.hub.returns(NAME):
        world.devices[device].hears(command)
        world.hub.report(world.devices[device].report(NAME), "home")
    assert said(world).to_return == 0


def test_a_pause_says_why_and_an_offline_device_is_shown() -> None:
    world = World(max_blocks=5).started()
    world.hub.presence(NAME, "d9", "home", online=False, boot=1)
    world.until(Phase.PAUSED)
    one = said(world)
    assert one.headline.startswith("Paused in wave 1 of 3: no answer within 5 blocks")
    assert one.devices["offline"] == 1


def test_it_is_data() -> None:
    world = World().started()
    world.round()
    one = said(world)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Explanation) == one
