"""What the owner is told about a state is what is in it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from acclimate_device.agent import Agent
from acclimate_device.cli import main
from acclimate_device.durability import Durability
from acclimate_device.privacy import ROWS, describe
from acclimate_device.store import Store
from acclimate_shared.errors import UsageError
from acclimate_shared.messages.told import sendable
from tests.device.durability.moments import OPTIONS
from tests.device.test_agent import events, taught


def state(folder: Path, *, learners: list[str], **more: Any) -> Path:
    options = OPTIONS | {"learners": learners, "durability": Durability(**more)}
    agent = taught(Agent(**options, state=folder), events(80))
    agent.predict(events(1)[0][0])
    agent.commit()
    agent.close()
    return folder


def test_rows_of_data_are_told(tmp_path: Path) -> None:
    found = describe(state(tmp_path, learners=["softmax", "knn"]))
    rows = {row["what"]: row["bytes"] for row in found["rows"]}
    assert rows["events whose labels have not come"] > 0
    assert rows["a sample of old events"] > 0
    assert found["learners_that_hold_rows"] == ["knn"]
    assert found["retention"] == "journal"
    assert "kind" in found["names"]["columns"]
    assert found["would_be_sent"] == {}
    assert found["sent_to"].startswith("nobody")


def test_without_retention_no_row_is_there(tmp_path: Path) -> None:
    found = describe(state(tmp_path, learners=["softmax", "naive-bayes"], retention="none"))
    assert {row["bytes"] for row in found["rows"]} == {0}
    assert found["learners_that_hold_rows"] == []
    assert found["journal_bytes"] == 0


def test_no_tensor_is_as_wide_as_an_event_and_untold(tmp_path: Path) -> None:
    folder = state(tmp_path, learners=["softmax", "naive-bayes"])
    store = Store(folder)
    saved = store.load()
    store.close()
    assert saved is not None
    width = saved[0]["waiting/x"].shape[1]
    told = tuple(name for name, _, _ in ROWS)
    untold = [
        name
        for name, array in saved[0].items()
        if array.ndim == 2 and array.shape[1] == width and array.dtype == "f8" and not name.startswith(told)
    ]
    states = ("model/live/", "model/slot")  # sums over events, not events
    assert [name for name in untold if not name.startswith(states)] == []


def test_what_could_be_sent_has_no_room_for_data() -> None:
    fields = {field for names in sendable().values() for field in names}
    assert fields
    assert not fields & {"x", "value", "values", "label", "row", "rows", "text", "key", "event_id"}


def test_the_command(tmp_path: Path) -> None:
    folder = state(tmp_path, learners=["softmax", "knn"])
    runner = CliRunner()
    done = runner.invoke(main, ["privacy", str(folder)])
    assert done.exit_code == 0, done.output
    assert "never sent" in done.output
    done = runner.invoke(main, ["privacy", str(folder), "--json"])
    assert json.loads(done.output)["learners_that_hold_rows"] == ["knn"]
    with pytest.raises(UsageError, match="no state"):
        describe(tmp_path / "nowhere")
