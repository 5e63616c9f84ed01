"""A release whose learners are others opens the states of the one before, and says so in the lineage."""

import csv
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acclimate_device import committee
from acclimate_device.agent import Agent
from acclimate_device.executor import Learner
from acclimate_device.keeper import Keeper
from acclimate_device.procedures import Task, standard_learner
from acclimate_device.records import Committed
from acclimate_device.replay_file import Request, replay_file
from acclimate_device.store import Store
from acclimate_shared.learner import make_package
from acclimate_shared.lineage import Lineage
from tests import streams
from tests.device.test_agent import events, taught

LEARNERS = ("softmax", "naive-bayes")


def of_the_next_release(name: str, task: Task) -> Learner:
    """Return a learner that differs from the one that ships by its digest alone."""
    package = standard_learner(name, task).package
    manifest = msgspec.structs.replace(package.manifest, about="as it will be")
    return Learner(make_package(manifest, predict=package.predict, update=package.update, state=dict(package.state)))


def lineage(state: Path) -> Lineage:
    with closing(Store(state)) as store:
        return Lineage.loads(store.lineage())


def told(found: Lineage) -> list[tuple[str, str, str]]:
    return [(record.version, record.kind, record.who) for record in found]


@pytest.mark.parametrize("how", ["closed", "crashed", "crashed before a commit was in the journal"])
def test_an_agent_goes_on_as_a_new_major_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    options: dict[str, Any] = {"task": "classification", "learners": LEARNERS, "state": tmp_path, "micro_batch": 16}
    rows = events(80)
    agent, append = taught(Agent(**options), rows[:30]), Keeper._append
    with monkeypatch.context() as power:
        if how.endswith("journal"):
            power.setattr(
                Keeper, "_append", lambda self, one: None if isinstance(one, Committed) else append(self, one)
            )
        taught(agent, rows[30:40])
    agent.close() if how == "closed" else agent.release()  # after a crash the journal is repeated
    before = lineage(tmp_path)
    monkeypatch.setattr(committee, "standard_learner", of_the_next_release)
    with Agent(**options) as agent:
        assert agent.status()["learned"] == 40
        assert agent.status()["version"] == "2.0"
        taught(agent, rows[40:])
    with Agent(**options) as agent:
        assert agent.status()["learned"] == 80
        assert agent.status()["version"].startswith("2.")
    after = told(lineage(tmp_path))
    assert after[: len(before)] == told(before)
    assert [one for one in after if one[1] == "override"] == [("2.0", "override", "release")]


def test_a_replay_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, table = streams.classification(200)
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *table])
    request = Request(
        path=str(path), label=header[-1], task="classification", learners=LEARNERS, micro_batch=32, state=tmp_path / "s"
    )

    def stop(replay: Any) -> None:
        if replay.learned >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay_file(request, progress=stop)
    monkeypatch.setattr(committee, "standard_learner", of_the_next_release)
    assert replay_file(request)["served"]
    found = told(lineage(tmp_path / "s"))
    assert [one for one in found if one[1] == "override"] == [("2.0", "override", "release")]
    assert found[-1][0] > "2.0"
