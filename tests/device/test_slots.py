"""A base that crashes the agent or fails its gates three times falls back; a healthy one is confirmed."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from acclimate_device import slots as module
from acclimate_device.agent import Agent
from acclimate_device.control import reopen, roll_back_base
from acclimate_device.learning import Learning, agent_of, tend
from acclimate_device.outside import name_of_base, names_of_base
from acclimate_device.slot import Slots
from acclimate_device.slots import TRIAL_COMMITS, TRIES, Bases, Health
from acclimate_device.status import describe
from acclimate_shared.errors import StateError, UsageError
from acclimate_shared.learner import load_package
from tests.device.test_agent import LEARNERS, events
from tests.device.test_outside import STANDARD
from tests.graphs import counter

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64
OUT, IN = Health(inside=False, quarantined=""), Health(inside=True, quarantined="")


class World:
    """A state folder, a clock, and lives of an agent that end well or do not."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now_s, self.commits = folder, 100.0, 0
        self.bases = self.fresh()

    def fresh(self) -> Bases:
        return Bases(self.folder, lambda: self.now_s)

    def install(self, digest: str, **options: Any) -> Any:
        return self.bases.install(digest, counter(), model="pump", version="1.0", **options)

    def starts(self) -> list[str]:
        self.bases = self.fresh()
        return [base.digest for base in self.bases.begin()]

    def fares(self, digest: str, health: Health = IN, commits: int = 1) -> list[str]:
        self.commits += commits
        return [base.digest for base in self.bases.attend({name_of_base(digest): health}, self.commits)]

    def enters(self, digest: str) -> None:
        self.bases.entering(name_of_base(digest))

    def confirmed(self, digest: str) -> None:
        self.install(digest)
        self.starts()
        self.enters(digest)
        self.fares(digest)
        self.fares(digest, commits=TRIAL_COMMITS)
        assert self.slots.current
        assert (self.slots.current.digest, self.slots.current.state) == (digest, "confirmed")

    @property
    def slots(self) -> Slots:
        return self.bases.read()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "state")


def test_a_base_that_does_well_is_confirmed_and_the_one_before_stays(world: World) -> None:
    world.confirmed(ONE)
    world.confirmed(TWO)
    slots = world.slots
    assert slots.other
    assert (slots.other.digest, slots.other.state) == (ONE, "confirmed")
    assert world.starts() == [TWO, ONE]
    world.install(THREE)  # takes the place of the previous one, never of the current
    assert [slot.digest for slot in world.slots.usable] == [TWO, THREE]
    assert sorted(p.name for p in (world.folder / "bases").iterdir()) == [TWO, THREE]


def test_of_one_architecture_both_candidates_take_part_and_one_may_leave_alone(world: World) -> None:
    softmax = load_package(STANDARD / "softmax-classification")
    world.confirmed(ONE)
    assert world.bases.install(TWO, softmax, model="pump", version="1.1").on == ""  # another architecture
    world.bases.fail(TWO, "not wanted")
    world.bases.fail(ONE, "not wanted")
    for at, digest in enumerate((ONE, TWO)):
        slot = world.bases.install(digest, softmax, model="pump", version=f"2.{at}", again=True)
        assert slot.on == ("" if digest == ONE else ONE)
        if digest == ONE:
            world.enters(ONE)
            world.fares(ONE)
            world.fares(ONE, commits=TRIAL_COMMITS)
    plain, other = names_of_base(TWO)
    assert [(base.digest, base.on) for base in world.fresh().begin()] == [(ONE, ""), (TWO, ""), (TWO, ONE)]
    world.bases.entering(other)
    entered = world.slots.of(TWO)
    assert entered is not None
    assert (entered.state, entered.running) == ("trial", True)
    sick = Health(inside=True, quarantined="it went mad")
    left = world.bases.attend({plain: OUT, other: sick}, world.commits)
    assert [base.name for base in left] == [name_of_base(ONE), plain]
    alone = world.slots.of(TWO)
    assert alone is not None
    assert (alone.state, alone.on) == ("trial", "")


def test_three_lives_that_end_in_a_trial_end_the_trial(world: World) -> None:
    world.confirmed(ONE)
    world.install(TWO)
    assert world.starts() == [ONE, TWO]
    world.enters(TWO)  # and the agent dies
    for _ in range(TRIES - 1):
        assert world.starts() == [ONE, TWO]
    assert world.starts() == [ONE]
    slots = world.slots
    assert slots.other
    assert slots.other.state == "failed"
    assert "did not end cleanly" in slots.other.reason
    with pytest.raises(UsageError, match="--retry"):
        world.install(TWO)
    assert world.install(TWO, again=True).state == "shadow"
    assert world.starts() == [ONE, TWO]


def test_lives_that_end_cleanly_do_not_count(world: World) -> None:
    world.install(ONE)
    world.starts()
    world.enters(ONE)
    for _ in range(3 * TRIES):
        world.bases.end()
        assert world.starts() == [ONE]
    assert world.slots.other
    assert world.slots.other.tries == 0


def test_a_base_in_its_own_process_is_not_blamed_for_a_crash(world: World) -> None:
    world.install(ONE)
    for _ in range(3 * TRIES):
        assert world.starts() == [ONE]


def test_commits_count_in_one_life_alone(world: World) -> None:
    world.install(ONE)
    world.starts()
    world.enters(ONE)
    for _ in range(3):
        world.fares(ONE, commits=1)
        world.fares(ONE, commits=TRIAL_COMMITS - 1)
        world.bases.end()
        world.starts()
    assert world.slots.other
    assert world.slots.other.state == "trial"


def test_gates_that_are_shut_three_times_end_it(world: World) -> None:
    world.install(ONE)
    world.starts()
    for row in range(1, TRIES):
        shut = tuple((10 * at, "size") for at in range(1, row + 1))  # the contest tells the old ones again
        assert world.fares(ONE, Health(inside=False, quarantined="", shut=shut)) == [ONE]
        assert world.fares(ONE, Health(inside=False, quarantined="", shut=shut)) == [ONE]
    shut = tuple((10 * at, "size") for at in range(1, TRIES + 1))
    assert world.fares(ONE, Health(inside=False, quarantined="", shut=shut)) == []
    assert world.slots.other
    assert world.slots.other.reason == "gate size was shut, 3 times"


def test_quarantine_and_what_does_not_fit_end_it_at_once(world: World) -> None:
    world.install(ONE)
    world.starts()
    assert world.fares(ONE, Health(inside=False, quarantined="an answer was not a number")) == []
    world.install(TWO)
    assert world.bases.attend({}, 0, unfit="it takes other inputs") == []
    assert world.slots.other
    assert world.slots.other.reason == "it takes other inputs"


def test_what_is_damaged_is_put_aside_and_the_agent_starts(world: World) -> None:
    world.confirmed(ONE)
    (world.folder / "bases" / ONE / "predict.onnx").write_bytes(b"x")
    assert world.starts() == []
    assert world.slots.current
    assert "damaged" in world.slots.current.reason
    for data in (b"", b"{", b'{"format": 2}', b'{"current": 7}', b"\xff" * 100_000):
        (world.folder / module.DOCUMENT).write_bytes(data)
        assert world.starts() == []
        assert (world.folder / "slots.damaged").read_bytes() == data


def test_a_person_takes_a_base_out_and_the_one_before_returns(world: World) -> None:
    with pytest.raises(UsageError, match="no base"):
        world.bases.withdraw("odd")
    world.confirmed(ONE)
    world.confirmed(TWO)
    with pytest.raises(UsageError, match="reason"):
        roll_back_base(world.folder, who="ann", why=" ")
    gone = roll_back_base(world.folder, who="ann", why="odd at night")
    assert (gone["digest"], gone["reason"]) == (TWO, "ann: odd at night")
    assert world.starts() == [ONE]
    world.install(THREE)
    assert world.bases.withdraw("not yet").digest == THREE
    assert world.starts() == [ONE]


@pytest.mark.parametrize("at", range(4))
def test_a_disk_that_refuses_leaves_the_slots_as_they_were(
    world: World, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    world.confirmed(ONE)
    before, count = world.slots, [0]
    real = {name: getattr(module, name) for name in ("write_file", "save_package")}

    def refusing(name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] > at % 2:
                raise OSError(28, "No space left on device")
            return real[name](*args, **options)

        return call

    for name in real:
        monkeypatch.setattr(module, name, refusing(name))
    with pytest.raises(StateError):
        world.install(TWO)
    monkeypatch.undo()
    assert world.slots == before
    assert world.starts() == [ONE]
    world.install(TWO)
    assert world.starts() == [ONE, TWO]


def test_a_running_agent_takes_up_what_is_installed_and_lets_go_of_what_fails(tmp_path: Path) -> None:
    state = tmp_path / "state"
    bases, settings = Bases(state), Learning(state=state, learners=tuple(LEARNERS), micro_batch=64)
    with agent_of(settings, None, bases) as agent:
        for features, label in events(100):
            agent.feedback(agent.predict(features).id, label)
        Bases(state).install(ONE, counter(), model="pump", version="1.0")  # by another process
        tend(agent, bases)
        assert list(agent.health()) == [name_of_base(ONE)]
        for features, label in events(100, seed=1):
            agent.feedback(agent.predict(features).id, label)
        Bases(state).install(TWO, load_package(STANDARD / "mlp-regression"), model="pump", version="1.1")
        tend(agent, bases)
        tend(agent, bases)
        slot = bases.read().other
        assert slot
        assert (slot.digest, slot.state) == (TWO, "failed")
        assert "regression" in slot.reason or "classification" in slot.reason
        assert agent.health() == {}
        assert agent.status()["learned"] == 200
    told = describe(state)["bases"]
    assert told["other"]["state"] == "failed"


def test_a_state_at_rest_is_opened_with_its_bases(tmp_path: Path) -> None:
    state = tmp_path / "state"
    bases, settings = Bases(state), Learning(state=state, learners=tuple(LEARNERS), micro_batch=64)
    bases.install(ONE, counter(), model="pump", version="1.0")
    with agent_of(settings, None, bases) as agent:
        for features, label in events(100):
            agent.feedback(agent.predict(features).id, label)
    with reopen(state) as agent:
        assert list(agent.health()) == [name_of_base(ONE)]


# -- with a process that dies ------------------------------------------------------------------------------------------

CHILD = """
import json, os, signal, sys
from pathlib import Path
from acclimate_device.learning import Learning, agent_of, tend
from acclimate_device.slots import Bases
from tests.device.test_outside import crossed

state, out = Path(sys.argv[1]), Path(sys.argv[2])
x, y = crossed(6_000)
bases = Bases(state)
learning = Learning(state=state, learners=("naive-bayes",), micro_batch=64)
with agent_of(learning, None, bases) as agent:
    agent.flush()
    given = agent.status()["learned"]
    for row, label in list(zip(x[:, :3].tolist(), y.tolist()))[given:given + 4_000]:
        agent.feedback(agent.predict(dict(zip("abc", row))).id, "yes" if label else "no")
        given += 1
        out.write_text(str(given))
        if given % 32 == 0:
            agent.flush()
            tend(agent, bases)
            if agent.status()["champion"].startswith("base-"):
                os.kill(os.getpid(), signal.SIGKILL)  # as a crash inside the runtime would
bases.end()
"""


@pytest.mark.slow
def test_a_base_that_kills_the_agent_is_left_out_in_the_end_and_no_label_is_lost(tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "given"
    bases = Bases(state)
    bases.install(ONE, load_package(STANDARD / "mlp-classification"), model="pump", version="1.0")
    codes = []
    for _ in range(TRIES + 1):
        codes.append(subprocess.run([sys.executable, "-c", CHILD, str(state), str(out)], check=False).returncode)
        if codes[-1] == 0:
            break
    assert codes == [-signal.SIGKILL] * TRIES + [0], bases.told()
    slot = bases.read().other
    assert slot
    assert (slot.state, slot.tries) == ("failed", TRIES)
    with Agent(task="classification", learners=["naive-bayes"], micro_batch=64, state=state) as agent:
        assert agent.status()["learned"] == int(out.read_text())
        assert agent.status()["champion"] == "naive-bayes"
    assert json.loads((state / module.DOCUMENT).read_bytes())["other"]["digest"] == ONE
    assert [folder.name for folder in (state / "bases").iterdir()] == [ONE]
