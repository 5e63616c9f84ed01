"""Killed twice and resumed, no bit differs, whatever takes part: learners, contests, triggers, sources, windows, rules.

Each case is one stream of late, missing, wrong and early labels, lessons and ticks, lived once without a break and once
with two crashes; afterwards everything that the future depends on is compared, and that what the case is about was
really there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from acclimate_device.agent import Agent
from acclimate_device.control import lineage_of
from acclimate_device.join import Window
from acclimate_device.labelling import Labelling
from acclimate_device.natural import from_toml
from acclimate_device.procedures import Procedure
from acclimate_device.rules import MADE, Rules
from acclimate_device.sources.event import Event
from acclimate_device.triggers import Policy
from acclimate_device.triggers.recommended import RECOMMENDED
from acclimate_shared.errors import LabelError
from tests.device.durability.moments import bits, crashed
from tests.device.test_agent import events
from tests.device.test_pace import FakeClock

ROWS, STOPS, LATE = 90, (31, 67), 12
OVERRIDDEN = 45
FEW = ("softmax", "naive-bayes")
RULE = from_toml('kind = "mean"\ncolumn = "x0"\nspan_s = 6\nlevels = [[0.0, "low"]]\nhighest = "high"')
DRIFT = Policy.from_dict({
    "trigger": {"kind": "any", "of": [
        {"kind": "drift", "detector": "adwin", "on": "loss"},
        {"kind": "drift", "detector": "page-hinkley", "on": "loss"},
        {"kind": "drift", "detector": "features", "on": "drift"},
        {"kind": "performance", "margin": 0.05, "window": 20},
        {"kind": "volume", "labelled": 25},
    ]},
})  # fmt: skip

Status = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What an agent is made of, and what shows that it took part."""

    options: dict[str, Any] = field(default_factory=dict)
    shows: Callable[[Status], object] = lambda status: status["learned"] > 60
    by_rule: bool = False


def contest(**rules: Any) -> dict[str, Any]:
    return {"rules": Rules(commission=16, **rules), "learners": FEW}


QUICKER = Procedure(name="quicker", learner="softmax", hyper={"rate": 0.2})
CASES = {  # the default committees have learners of every kind
    "committee": Case(),
    "committee of regression": Case(options={"task": "regression"}),
    "contest": Case(
        options=contest(challengers=(*FEW, "quicker"), variants=(QUICKER,)),
        shows=lambda s: s["champion"] == "naive-bayes" and "quicker" in s["weights"],
    ),
    "snapshots": Case(options=contest(policy="superiority", challengers=FEW), shows=lambda s: "frozen" in str(s)),
    "scratch": Case(options=contest(challengers=MADE, scratch=2), shows=lambda s: s["champion"] == "naive-bayes"),
    "window": Case(
        options={"learners": FEW, "key": "kind", "window": Window(most_s=10.0, negative="class0", early_s=9.0)},
        shows=lambda s: s["labels_refused"].get("late"),
    ),
    "detectors": Case(options={"learners": FEW, "triggers": DRIFT}, shows=lambda s: s["triggers"]["fired"] > 1),
    "back-off": Case(options={"learners": FEW, "triggers": RECOMMENDED}, shows=lambda s: s["triggers"]["fired"]),
    "labels by rule": Case(
        options={"learners": FEW}, shows=lambda s: sorted(s["classes"]) == ["high", "low"], by_rule=True
    ),
}


@dataclass
class Life:
    """One stream, told to whichever agent is there."""

    case: Case
    clock: FakeClock = field(default_factory=FakeClock)
    at: int = 0

    def born(self, state: Path) -> Agent:
        options: dict[str, Any] = {"task": "classification", "micro_batch": 16, "clock": self.clock} | self.case.options
        return Agent(**options, state=state)

    def lived(self, agent: Agent, until: int) -> None:
        """Go on with the stream; in the end everyone has answered, and the journal holds it."""
        labelling = Labelling(agent, RULE) if self.case.by_rule else None
        rows = events(ROWS)
        while self.at < until:
            self._event(agent, labelling, rows)
            self.at += 1
        if agent._arena:
            agent._complete(agent._arena)
        agent._keeper.acknowledge()

    def _event(self, agent: Agent, labelling: Labelling | None, rows: list[tuple[dict[str, object], str]]) -> None:
        self.clock.now_s += 1.0
        row, name = rows[self.at][0], f"e-{self.at}"
        agent.predict(row, event_id=name)
        if labelling:
            for which, label in labelling.after(name, Event(self.at, row, None, "", 0.0), self.clock.now_s):
                agent.feedback(which, label)
            return
        self._label(agent, self.at - LATE if self.at % 3 else self.at - 2)
        if self.at % 40 == 39:
            some = [r for r, _ in rows[:20]]
            agent.learn_many(some, [self._truth(i) for i in range(20)], source="file")
        if self.at % 5 == 0:
            agent.tick()
        if self.at == OVERRIDDEN and "rules" in self.case.options and agent.policy == "continual":
            agent.amend(lambda arena: arena.override("naive-bayes", "ann", "she knows better"))

    def _truth(self, at: int) -> Any:
        return float(at % 7) + 0.25 if self.case.options.get("task") == "regression" else events(ROWS)[at][1]

    def _label(self, agent: Agent, at: int) -> None:
        if at < 0 or at % 17 == 0:
            return
        wrong = at % 11 == 0
        try:
            agent.feedback(f"e-{at}", self._truth(at - 1 if wrong else at), 0.5 + at % 3, f"source-{at % 3}")
        except LabelError:  # twice, or too late: part of the stream
            return


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_no_bit_differs(tmp_path: Path, name: str) -> None:
    whole, broken, here = Life(CASES[name]), Life(CASES[name]), tmp_path / "0"
    undisturbed, agent = whole.born(tmp_path / "whole"), broken.born(here)
    for stop in (*STOPS, ROWS):
        whole.lived(undisturbed, stop)
        broken.lived(agent, stop)
        if stop < ROWS:
            here = crashed(agent, here, tmp_path / str(stop))
            agent = broken.born(here)
    assert bits(agent) == bits(undisturbed)
    assert CASES[name].shows(agent.status()), agent.status()
    for one in (agent, undisturbed):
        one.close()
    assert len(lineage_of(here)) == len(lineage_of(tmp_path / "whole"))
