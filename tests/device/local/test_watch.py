"""What a watcher sees: lines from a status, rates between looks, a running agent, a state at rest."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from acclimate_device.agent import Agent
from acclimate_device.cli import main
from acclimate_device.local.watch import lines, of_socket, rates, show
from acclimate_shared.errors import LinkError
from tests.device.local.rig import start, stop

STATUS: dict[str, Any] = {
    "task": "classification", "version": "1.2", "predictions": 1000, "learned": 900, "waiting": 3,
    "policy": "superiority", "champion": "softmax-slow", "weights": {"a": 0.1, "[b]": 0.7, "c": 0.15, "d": 0.05},
    "tests": {"knn": [1.0, 4.0], "mlp": [3.0, 4.0]}, "drift": [{"on": "loss", "row": 700}],
    "local": {
        "recent": {"labels": 200, "wrong": 0.1, "last_label": 0.25},
        "connections": 2, "turned_away": 1, "refused": 4, "link": "up",
        "broker": {"connected": True, "requests": 4000, "refused_full": 7, "dropped": 0, "unsent": 1},
    },
}  # fmt: skip


def test_a_look_tells_who_serves_who_leads_and_how_well() -> None:
    told = lines(STATUS, {"predictions": 12.5, "learned": 2.0})
    found = dict(told)
    assert found["predictions"] == "1,000  (12.5 a second)"
    assert found["champion"] == "softmax-slow  (policy superiority)"
    assert "75 %" in found["challenger mlp"]
    assert "(leads)" in found["challenger mlp"]
    assert "(leads)" not in found["challenger knn"]
    assert found["right, last 200"] == "90.0 %  (repeating the last label: 75.0 %)"
    assert found["drift"] == "of the loss, at row 700"
    assert found["listens most to"] == "[b] 70 %, c 15 %, a 10 %"
    assert found["link to the hub"] == "up"
    assert found["socket"] == "2 open, 4 requests refused, 1 turned away"
    assert found["topics"] == "broker up, 4,000 requests, 8 refused or lost because too much came"


def test_values_have_a_mean_error_and_a_state_at_rest_has_no_scores() -> None:
    local = {"recent": {"labels": 7, "mae": 1.25, "last_label": 2.5}}
    assert dict(lines({**STATUS, "local": local}, {}))["mean error, last 7"] == "1.25  (repeating the last label: 2.5)"
    rest = {name: value for name, value in STATUS.items() if name != "local"}
    assert not {"socket", "link to the hub", "right, last 200"} & dict(lines(rest, {})).keys()


def test_rates_are_differences() -> None:
    later = {**STATUS, "predictions": 1100, "learned": 905}
    assert rates(STATUS, later, 2.0) == {"predictions": 50.0, "learned": 2.5}
    assert rates(None, later, 2.0) == rates(STATUS, later, 0.0) == rates(later, STATUS, 1.0) == {}


def test_it_looks_until_it_is_interrupted() -> None:
    looks, times, waited = iter([STATUS, {**STATUS, "predictions": 1040}]), iter([0.0, 2.0]), []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) > 1:
            raise KeyboardInterrupt

    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True)
    show(lambda: next(looks), 2.0, once=False, console=console, clock=lambda: next(times), sleep=sleep)
    assert waited == [2.0, 2.0]
    assert "(20.0 a second)" in out.getvalue()
    assert "[b] 70 %" in out.getvalue()


def test_a_running_agent_is_watched(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    process = start(path)
    try:
        shown = CliRunner().invoke(main, ["watch", "--socket", str(path), "--once"])
        assert shown.exit_code == 0, shown.output
        assert "champion" in shown.stdout
        assert "link to the hub" in shown.stdout
    finally:
        assert stop(process) == 0
    with pytest.raises(LinkError, match="no agent answers"):
        of_socket(path)()


def test_a_state_at_rest_is_watched(tmp_path: Path) -> None:
    with Agent(task="classification", learners=("softmax-slow",), state=tmp_path) as agent:
        for at in range(8):
            agent.feedback(agent.predict({"x": at}).id, "ab"[at % 2])
    told = CliRunner().invoke(main, ["watch", str(tmp_path), "--json"])
    assert json.loads(told.stdout)["learned"] == 8
    shown = CliRunner().invoke(main, ["watch", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "labels learned" in shown.stdout


@pytest.mark.parametrize("wrong", [[], ["state", "--socket", "a.sock"]])
def test_one_thing_is_watched(wrong: list[str]) -> None:
    result = CliRunner().invoke(main, ["watch", *wrong])
    assert result.exit_code == 2
    assert "name one thing" in result.stderr
