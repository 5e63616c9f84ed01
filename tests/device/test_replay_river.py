"""Scores of late labels are those of River's delayed progressive validation, whose delay counts from the row itself."""

from typing import Any

import pytest
from river import base, evaluate, metrics

from acclimate_device.agent import Agent
from acclimate_device.replay import Options, Replay
from tests import streams
from tests.device.test_replay import rows_of

LEARNERS = ("softmax", "naive-bayes")
ROWS, MICRO_BATCH = 260, 64


class Classifies(base.Classifier):
    """An agent in the hands of River; it is asked once a row, and given the label of that very question."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def predict_one(self, x: dict[Any, Any], **_: Any) -> Any:
        return self.agent.predict(_features(x), event_id=str(x["row"])).label

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        self.agent.feedback(str(x["row"]), y)


class Estimates(base.Regressor):
    """The same, for values."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.taught = agent, False

    def predict_one(self, x: dict[Any, Any], **_: Any) -> Any:
        value = self.agent.predict(_features(x), event_id=str(x["row"])).value
        return value if self.taught else None  # an answer before the first label is no score

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        self.taught = True
        self.agent.feedback(str(x["row"]), y)


def _features(x: dict[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in x.items() if name != "row"}


@pytest.mark.parametrize("delay", [0, 1, 7, 40])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_score_is_rivers(task: Any, delay: int) -> None:
    header, table = streams.classification(ROWS) if task == "classification" else streams.regression(ROWS)
    learners = LEARNERS if task == "classification" else ("rls",)
    inputs, rows = rows_of((header, table), task)
    replay = Replay(inputs, Options(task=task, delay=delay, inner=1, micro_batch=MICRO_BATCH, learners=learners))
    for row in rows:
        if replay.feed([row]):
            replay.committed()
    fresh, _ = rows_of((header, table), task)
    dataset: Any = [
        (
            {"row": at, **dict(zip(header, row[:-1], strict=False))},
            row[-1] if task == "classification" else float(row[-1]),
        )
        for at, row in enumerate(table)
    ]
    with Agent(task=task, columns=fresh.encoder.columns, learners=learners, micro_batch=MICRO_BATCH) as agent:
        sort: Any = (Classifies, metrics.Accuracy) if task == "classification" else (Estimates, metrics.MAE)
        score = evaluate.progressive_val_score(dataset, sort[0](agent), sort[1](), delay=delay + 1).get()
    name = "accuracy" if task == "classification" else "mae"
    assert replay.scores.served()[name] == pytest.approx(score, rel=1e-6 if task == "regression" else 1e-12)
