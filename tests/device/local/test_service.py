"""Requests and answers: strict types, errors that say what to do, batches, what status tells."""

import json
from pathlib import Path
from typing import Any

import pytest

from acclimate_device.local import messages as msg
from acclimate_device.local.client import Client, LocalError
from acclimate_device.local.limits import Limits
from acclimate_device.local.recent import Recent
from acclimate_device.local.service import Service
from acclimate_shared.errors import MessageError
from tests.device.local.rig import CountingAgent, connect, served, until


def ask(agent: CountingAgent, request: dict[str, Any]) -> dict[str, Any]:
    service = Service(agent)
    try:
        found: dict[str, Any] = json.loads(service.answer(json.dumps(request).encode()))
    finally:
        service.close()
    return found


@pytest.mark.parametrize("name", [None, 7, "seven", ""])
def test_ids_come_back(name: object) -> None:
    assert ask(CountingAgent(), {"op": "status", "id": name})["id"] == name
    assert ask(CountingAgent(), {"op": "predict", "id": name, "features": 3})["id"] == name


@pytest.mark.parametrize(
    ("request_", "field", "value"),
    [
        ({"op": "nonsense"}, "op", "'nonsense'"),
        ({}, "op", ""),
        ({"op": "predict"}, "request", ""),
        ({"op": "predict", "features": [1]}, "features", "[1]"),
        ({"op": "predict", "features": {"a": 1, "load": [2]}}, "features.load", "[2]"),
        ({"op": "predict", "features": {}, "odd": 1}, "odd", ""),
        ({"op": "feedback", "event": 3, "label": "a"}, "event", "3"),
        ({"op": "feedback", "event": "e", "label": None}, "label", ""),
        ({"op": "feedback", "event": "e", "label": True}, "label", "True"),
        ({"op": "feedback", "event": "e", "label": "a", "weight": "1"}, "weight", "'1'"),
        ({"op": "predict_many", "rows": []}, "rows", "[]"),
        ({"op": "predict_many", "rows": [{"x": 1}, {"x": {}}]}, "rows.1.x", "{}"),
        ({"op": "predict", "id": [1], "features": {}}, "id", "[1]"),
        ({"op": "predict", "features": {"x": 10**30}}, "features.x", ""),
    ],
)
def test_what_is_wrong_is_named(request_: dict[str, Any], field: str, value: str) -> None:
    error = ask(CountingAgent(), request_)["error"]
    assert (error["kind"], error["field"]) == ("message", field)
    assert error["remedy"]
    assert value in error["value"]


def test_a_batch_has_a_limit() -> None:
    with pytest.raises(MessageError, match="length"):
        msg.parse(json.dumps({"op": "predict_many", "rows": [{}] * 513}).encode())
    most = msg.parse(json.dumps({"op": "predict_many", "rows": [{}] * 512}).encode())
    assert isinstance(most, msg.PredictMany)
    assert len(most.rows) == 512


def test_each_of_a_batch_stands_for_itself() -> None:
    agent = CountingAgent()
    found = ask(agent, {"op": "predict_many", "rows": [{"x": 1}, {"bad": "?"}, {"x": 2}]})
    assert not found["ok"]
    assert [one.get("event") for one in found["answers"]] == ["e0", None, "e1"]
    assert found["answers"][1]["error"]["field"] == "bad"
    labels = [{"event": name, "label": "odd"} for name in ("e0", "e9", "e1", "e0")]
    found = ask(agent, {"op": "feedback_many", "labels": labels})
    assert [one and one["kind"] for one in found["errors"]].count(None) == 2
    assert found["errors"][1]["kind"] == "unknown-prediction"
    assert agent.labels.keys() == {"e0", "e1"}
    assert ask(agent, {"op": "predict_many", "rows": [{"x": 1}]})["ok"]


def test_everything_that_is_given_reaches_the_agent() -> None:
    agent = CountingAgent()
    ask(agent, {"op": "predict", "event": "mine", "features": {}, "time_s": 5})
    ask(agent, {"op": "feedback", "event": "mine", "label": 2, "weight": 0.5, "source": "lab", "time_s": 9.5})
    assert (agent.events, agent.times) == (["mine"], [5])
    assert agent.given == [("mine", 2, 0.5, "lab", 9.5)]


def test_regression_answers_with_a_value() -> None:
    found = ask(CountingAgent("regression"), {"op": "predict", "features": {}})
    assert found == {"id": None, "ok": True, "event": "e0", "value": 0.0, "version": "1.0"}


def test_status_tells_of_agent_and_service() -> None:
    now = [10.0]
    service = Service(CountingAgent(), clock=lambda: now[0])
    now[0] = 15.0
    service.answer(b"nonsense")
    told = json.loads(service.answer(b'{"op":"status"}'), parse_constant=pytest.fail)["status"]
    service.close()
    assert told["odd"] is None  # JSON has no NaN
    assert (told["local"]["up_s"], told["local"]["requests"], told["local"]["refused"]) == (5.0, 1, 1)


def test_recent_scores_are_those_of_the_labels_that_came() -> None:
    recent = Recent(regression=False, most_open=2)
    for event, said in (("a", "x"), ("b", "x"), ("c", "y")):
        recent.answered(event, said)
    assert recent.told() == {"labels": 0, "wrong": None, "last_label": None}
    recent.labelled("a", "x")  # forgotten, but now there is a last label
    recent.labelled("b", "y")
    recent.labelled("c", "y")
    assert recent.told() == {"labels": 2, "wrong": 0.5, "last_label": 0.5}
    values = Recent(regression=True)
    for event, value, label in (("a", 1.0, 1), ("b", 2.0, 4)):
        values.answered(event, value)
        values.labelled(event, label)
    assert values.told() == {"labels": 1, "mae": 2.0, "last_label": 3.0}


# -- the client ---------------------------------------------------------------------------------------------------


def test_the_client_speaks_the_protocol(tmp_path: Path) -> None:
    agent = CountingAgent()
    with served(tmp_path, agent) as path, Client(path) as client:
        answer = client.predict({"x": 1.0})
        client.feedback(answer["event"], "odd", source="lab")
        several = client.predict_many([{"x": 1}, {"bad": 1}])
        assert several[1]["error"]["kind"] == "input"
        labels = [{"event": several[0]["event"], "label": "odd"}, {"event": "no", "label": "odd"}]
        assert [one and one["kind"] for one in client.feedback_many(labels)] == [None, "unknown-prediction"]
        assert client.feedback_many([{"event": client.predict({})["event"], "label": "odd"}]) == [None]
        with pytest.raises(LocalError, match=r"bad = 'q'.*mend it") as caught:
            client.predict({"bad": "q"})
        assert (caught.value.kind, caught.value.field, caught.value.retry) == ("input", "bad", False)
        with pytest.raises(LocalError, match="label already"):
            client.feedback(answer["event"], "odd")
        assert client.status()["learned"] == 3
        with pytest.raises(LocalError, match="length"):
            client.predict_many([])


def test_the_client_says_when_it_is_turned_away_or_left(tmp_path: Path) -> None:
    limits = Limits(connections=1)
    with served(tmp_path, CountingAgent(), limits) as path:
        first = connect(path)
        first.sendall(b'{"op":"status"}\n')
        assert first.recv(4096)
        with Client(path) as client, pytest.raises(LocalError, match="too many") as caught:
            client.status()
        assert caught.value.retry
        first.close()
        until(lambda: _answers(path))
        client = Client(path)
    with pytest.raises((ConnectionError, LocalError)):
        client.status()
    client.close()
    with pytest.raises(OSError, match="No such file"):
        Client(path)


def _answers(path: Path) -> bool:
    with Client(path) as client:
        try:
            return bool(client.status())
        except LocalError:
            return False
