import pytest

from acclimate_hub.rollout import Phase, Rollout, RolloutPlan, TransitionError, Wave, machine
from acclimate_hub.rollout.machine import Act
from acclimate_shared.waves import Action, Stage
from tests.hub.rollout.fleet import COHORT, NEW, OLD, small_plan

ACT = Act(who="bob", why="because", now_s=1000.0)
NUMBERED = Act(who="gate", why="passed", now_s=1000.0, numbers={"log_e": 5.0})
CHANGES = {
    "approve": machine.approve,
    "start": lambda rollout, act: machine.start(rollout, act, 4),
    "advance": machine.advance,
    "pause": machine.pause,
    "resume": machine.resume,
    "abort": machine.abort,
    "roll back": machine.roll_back,
    "retry": machine.retry,
}
LEGAL = {
    Phase.DRAFT: {"approve", "abort"},
    Phase.APPROVED: {"start", "abort"},
    Phase.WAVE: {"advance", "pause", "abort", "retry"},
    Phase.PAUSED: {"resume", "abort", "retry"},
    Phase.DONE: {"roll back", "retry"},
    Phase.ABORTED: set(),
    Phase.ROLLED_BACK: set(),
}


def drafted(plan: RolloutPlan | None = None) -> Rollout:
    facts = {"author": "ann", "digest": NEW, "previous": OLD, "salt": "s"}
    return Rollout(id="r1", cohorts=(COHORT, "plant"), plan=plan or small_plan(), **facts)  # type: ignore[arg-type]


def at(phase: Phase) -> Rollout:
    """Return a rollout in a phase, by the shortest way."""
    steps = {
        Phase.DRAFT: (),
        Phase.APPROVED: ("approve",),
        Phase.WAVE: ("approve", "start"),
        Phase.PAUSED: ("approve", "start", "pause"),
        Phase.DONE: ("approve", "start", "advance", "advance", "advance"),
        Phase.ABORTED: ("abort",),
        Phase.ROLLED_BACK: ("approve", "start", "advance", "advance", "advance", "roll back"),
    }[phase]
    rollout = drafted()
    for step in steps:
        rollout, _ = CHANGES[step](rollout, NUMBERED)
    assert rollout.phase is phase
    return rollout


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_from_every_phase(phase: Phase, change: str) -> None:
    rollout = at(phase)
    if change not in LEGAL[phase]:
        with pytest.raises(TransitionError) as caught:
            CHANGES[change](rollout, NUMBERED)
        assert caught.value.remedy
        return
    after, transition = CHANGES[change](rollout, NUMBERED)
    assert (after.version, after.revision) == (rollout.version + 1, rollout.revision + 1)
    assert (transition.before, transition.after) == (phase, after.phase)
    assert (transition.who, transition.why, transition.numbers) == ("gate", "passed", {"log_e": 5.0})
    assert transition.version == after.version
    assert bool(after.gate) == (after.phase is Phase.WAVE)


def test_no_data_never_means_pass() -> None:
    with pytest.raises(TransitionError, match="no data is no pass"):
        machine.advance(at(Phase.WAVE), ACT)


def test_the_author_may_not_approve_where_two_are_asked_for() -> None:
    author = Act(who="ann", why="mine", now_s=0.0)
    with pytest.raises(TransitionError, match="author"):
        machine.approve(drafted(small_plan(second_person=True)), author)
    approved, _ = machine.approve(drafted(small_plan(second_person=True)), ACT)
    assert approved.approver == "bob"
    assert machine.approve(drafted(), author)[0].phase is Phase.APPROVED


@pytest.mark.parametrize("act", [Act(who="", why="x", now_s=0.0), Act(who="x", why="", now_s=0.0)])
def test_nobody_acts_without_a_name_and_a_reason(act: Act) -> None:
    with pytest.raises(TransitionError, match="nobody"):
        machine.approve(drafted(), act)


def test_what_the_devices_are_told() -> None:
    waves = (
        Wave(percent=20.0, stage=Stage.SHADOW, cohort=COHORT),
        Wave(percent=10.0, cohort=COHORT),
        Wave(percent=30.0, criticality=1),
    )
    rollout, _ = machine.approve(drafted(small_plan(waves=waves)), ACT)
    asked = []
    for step in ("start", "advance", "advance", "advance"):
        rollout, _ = CHANGES[step](rollout, NUMBERED)
        documents = [machine.desired(rollout, cohort) for cohort in (COHORT, "plant", "elsewhere")]
        asked.append([(document.shadow, document.serve) for document in documents])
    assert asked == [
        [(20.0, 0.0), (0.0, 0.0), (0.0, 0.0)],
        [(20.0, 10.0), (0.0, 0.0), (0.0, 0.0)],
        [(20.0, 30.0), (0.0, 30.0), (0.0, 0.0)],
        [(20.0, 30.0), (0.0, 30.0), (0.0, 0.0)],
    ]
    assert machine.desired(rollout, COHORT).action is Action.GO
    assert machine.desired(rollout, COHORT).number == 4


def test_pause_holds_and_abort_and_roll_back_return() -> None:
    expected = {Phase.PAUSED: Action.HOLD, Phase.ABORTED: Action.RETURN, Phase.ROLLED_BACK: Action.RETURN}
    for phase, action in expected.items():
        assert machine.desired(at(phase), COHORT).action is action


def test_a_pause_gives_up_the_evidence_of_its_wave() -> None:
    rollout = at(Phase.WAVE)
    paused, _ = machine.pause(rollout, ACT)
    resumed, _ = machine.resume(paused, Act(who="bob", why="go on", now_s=5000.0))
    assert (resumed.wave, paused.gate) == (rollout.wave, b"")
    assert resumed.gate != rollout.gate
