"""Released bases come and go, in a live agent and between two starts; nothing changes for anybody else."""

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.agent import Agent
from acclimate_device.outside import Base, Visitors
from acclimate_device.regroup import Columns, _succession
from acclimate_device.rules import Rules
from acclimate_device.sandbox import Confinement
from acclimate_shared.errors import PackageError, UsageError
from acclimate_shared.learner import save_package
from tests.device.test_agent import LEARNERS, events
from tests.device.test_outside import STANDARD, crossed
from tests.graphs import counter

LATE = 40
ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a package that never wins."""
    folder = tmp_path_factory.mktemp("bases") / "counter"
    save_package(counter(), folder)
    return folder


class Life:
    """An agent that is asked, and told LATE events later; what it answers is kept."""

    def __init__(self, state: Path, **options: Any) -> None:
        self.options = {"task": "classification", "learners": LEARNERS, "micro_batch": 64, "state": state, **options}
        self.agent = Agent(**self.options)
        self.rows = iter(events(1_000))
        self.waiting: list[tuple[str, str]] = []
        self.out: list[Any] = []

    def lives(self, rows: int) -> "Life":
        for features, label in itertools.islice(self.rows, rows):
            name = f"event-{len(self.out)}"
            answer = self.agent.predict(features, event_id=name, time_s=float(len(self.out)))
            self.out.append((answer.label, answer.probabilities))
            self.waiting.append((name, label))
            if len(self.waiting) > LATE:
                self.agent.feedback(*self.waiting.pop(0), time_s=float(len(self.out)))
        return self

    def again(self, bases: list[Base], *, cleanly: bool = True) -> "Life":
        (self.agent.close if cleanly else self.agent.release)()
        self.agent = Agent(**self.options, bases=bases)
        return self

    def facts(self) -> Any:
        """Return everything that must not depend on who else takes part."""
        arena: Any = self.agent._arena
        contest = arena.contest
        own = arena.roster.own
        status = {contest.names[c]: s for c, s in contest.status.items() if c < own}
        states = {name: {k: a.tobytes() for k, a in state.items()} for name, state in arena.roster.states.items()}
        losses = contest._recent[:, :own].tobytes()
        return self.out, states, status, losses, self.agent.status()["learned"], contest.labels


@pytest.mark.slow
@pytest.mark.parametrize("how", ["started anew", "killed", "live"])
@pytest.mark.parametrize("learners", [LEARNERS, ["naive-bayes"]])
def test_nobody_else_notices(tmp_path: Path, package: Path, how: str, learners: list[str]) -> None:
    """Where there is one learner alone, a contest, and the slots that it needs, come and go with the bases."""
    alone = Life(tmp_path / "undisturbed", learners=learners).lives(700)
    undisturbed = alone.facts()
    alone.agent.close()
    one, two = Base(ONE, package), Base(TWO, package)
    life = Life(tmp_path / "state", learners=learners).lives(150)
    for bases in ([one], [one, two], [two], []):
        if how == "live":
            life.agent.regroup(bases)
        else:
            life.again(bases, cleanly=how == "started anew")
        assert life.agent._arena
        assert life.agent._arena.roster.outside.names == [base.name for base in bases]
        life.lives(100 if bases else 250)
    assert life.agent._arena
    log = life.agent._arena.contest.log
    came = [(t.candidate, t.event) for t in log if t.event in {"arrive", "leave"}]
    assert came == [(one.name, "arrive"), (two.name, "arrive"), (one.name, "leave"), (two.name, "leave")]
    found = life.facts()
    life.agent.close()
    for what, expected in zip(found[: None if len(learners) > 1 else 2], undisturbed, strict=False):
        assert what == expected
    assert found[4] == undisturbed[4]


@pytest.mark.slow
def test_predictions_on_the_disk_are_fitted_too(tmp_path: Path, package: Path) -> None:
    lives = []
    for name, bases in (("with", [Base(ONE, package)]), ("without", [])):
        life = Life(tmp_path / name)
        life.agent._log.most_bytes = 4096
        life.lives(100)
        assert life.agent._log.sequences_away()
        life.again(bases, cleanly=False).lives(60).again([], cleanly=False).lives(60)
        lives.append(life.facts())
        life.agent.close()
    assert lives[0] == lives[1]


@pytest.mark.slow
def test_when_the_base_that_serves_leaves_the_committee_serves_and_no_label_is_lost(tmp_path: Path) -> None:
    x, y = crossed(3_072)
    confinement = Confinement(patience_s=5.0, start_s=60.0, deadline_s=60.0)  # busy machines are slow
    base, entered = Base(ONE, STANDARD / "mlp-classification"), list[str]()
    visitors = Visitors(probation=1, confinement=confinement, entering=entered.append)
    options: dict[str, Any] = {"task": "classification", "learners": ["naive-bayes"], "micro_batch": 128}
    options |= {"state": tmp_path / "state", "rules": Rules(visitors=visitors)}
    agent, rows = Agent(**options, bases=[base]), zip(x[:, :3].tolist(), y.tolist(), strict=True)
    taught = 0
    for row, label in rows:
        agent.feedback(agent.predict(dict(zip("abc", row, strict=True))).id, "yes" if label else "no")
        taught += 1
        if agent.status()["champion"] == base.name:
            break
    assert agent.status()["champion"] == base.name
    assert entered == [base.name]
    agent.release()  # as if it had been killed
    with Agent(**options) as after:
        assert after.status()["champion"] == "naive-bayes"
        assert after.status()["learned"] == taught
        assert after.version.startswith("3.")
        log = after._arena.contest.log  # type: ignore[union-attr]
        assert "left while it served" in next(t.reason for t in reversed(log) if t.event == "rollback")
        for row, label in itertools.islice(rows, 300):
            after.feedback(after.predict(dict(zip("abc", row, strict=True))).id, "yes" if label else "no")
        assert after.status()["learned"] == taught + 300


def test_a_base_that_cannot_take_part_changes_nothing(tmp_path: Path) -> None:
    life = Life(tmp_path / "state").lives(50)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackageError):
        life.agent.regroup([Base(ONE, tmp_path / "empty")])
    with pytest.raises(UsageError):
        life.agent.regroup([Base(ONE, STANDARD / "mlp-regression")])
    life.lives(50)
    assert life.agent._arena
    assert life.agent._arena.roster.outside.names == []
    life.agent.close()


def test_under_superiority_no_base_takes_part(package: Path) -> None:
    life = Life(None, rules=Rules(policy="superiority"), bases=[Base(ONE, package)]).lives(5)  # type: ignore[arg-type]
    assert "continual" in life.agent.unfit
    assert life.agent.health() == {}


NAMES = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(NAMES, NAMES, st.integers(0, 3), st.integers(0, 3))
def test_columns_follow_their_names(before: list[str], now: list[str], slots: int, slots_now: int) -> None:
    columns = Columns(["own", *before], ["own", *now], slots, slots_now)
    values = {name: float(at) for at, name in enumerate(["own", *before])}
    row = np.array([*values.values(), *(100.0 + s for s in range(slots))])
    moved = columns.fit(row)
    expected = [values.get(name, np.nan) for name in ["own", *now]] + [
        100.0 + s if s < slots else np.nan for s in range(slots_now)
    ]
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(columns.fit(np.stack([row, row]), 1), np.stack([moved, moved]))
    for column in range(len(row)):
        to = columns.moved(column)
        assert moved[to] == row[column] if to is not None else row[column] not in moved
    assert sorted(columns.left) == sorted(set(before) - set(now))


@pytest.mark.slow
def test_labels_in_a_queue_when_candidates_change_are_learned_all_the_same(tmp_path: Path, package: Path) -> None:
    """A worker learns beside predictions: labels may be anywhere between both when columns move."""
    one, two = Base(ONE, package), Base(TWO, package)
    options: dict[str, Any] = {"task": "classification", "learners": LEARNERS, "micro_batch": 64, "background": True}
    with Agent(**options, state=tmp_path / "state") as agent:
        stopped, given = threading.Event(), [0]

        def lives() -> None:
            waiting: list[tuple[str, str]] = []
            for features, label in itertools.cycle(events(500)):
                waiting.append((agent.predict(features).id, label))
                if len(waiting) > LATE:
                    agent.feedback(*waiting.pop(0))
                    given[0] += 1
                if stopped.is_set():
                    return

        thread = threading.Thread(target=lives)
        thread.start()
        try:
            for bases in ([one], [two], [one, two], [], [two], [one], []):
                agent.regroup(bases)
        finally:
            stopped.set()
            thread.join()
        agent.flush()
        assert agent.status()["learned"] == given[0]


def test_what_served_before_a_promotion_moves_along_or_is_forgotten() -> None:
    columns = Columns(["a", "base-1", "base-2"], ["a", "base-2"], 1, 1)
    assert _succession([2, "watch"], columns) == [1, "watch"]
    assert _succession([1, "watch"], columns) is None
    assert _succession([None, "watch"], columns) == [None, "watch"]
    assert _succession(None, columns) is None
