"""`acclimate columns` says what learners will see, and is right about it."""

import json
from pathlib import Path

from click.testing import CliRunner

from acclimate_device.cli import main
from acclimate_device.cli_columns import described
from acclimate_device.inputs import Inputs
from acclimate_device.procedures import Task
from acclimate_device.schema import Column
from tests import streams


def test_the_parts_add_up_to_what_is_encoded() -> None:
    tasks: tuple[Task, ...] = ("classification", "regression")
    for task in tasks:
        columns = [
            Column(name="number", kind="number"),
            Column(name="gaps", kind="number", flag_missing=True),
            Column(name="hour", kind="number", slots=32),
            Column(name="text", kind="category", slots=4),
        ]
        inputs = Inputs(task, columns)
        found = described(inputs)
        assert sum(column["features"] for column in found["columns"]) == found["features"] == 1 + 2 + 33 + 4
        values = {"number": 1, "gaps": None, "hour": 3, "text": "a"}
        assert len(inputs.vector(inputs.parse(values), "")) == found["with_history"]


def test_a_file_is_told_for_people_and_machines(tmp_path: Path) -> None:
    path = tmp_path / "stream.csv"
    streams.write_csv(path, streams.classification(300))
    run = CliRunner().invoke(main, ["columns", str(path), "--label", "label", "--json"])
    found = json.loads(run.output)
    assert [column["name"] for column in found["columns"]] == ["x0", "x1", "x2", "kind"]
    assert found["task"] == "classification"
    people = CliRunner().invoke(main, ["columns", str(path), "--label", "label"])
    assert people.exit_code == 0
    assert f"Author a learner of your own for {found['features']} features" in people.output
    wrong = CliRunner().invoke(main, ["columns", str(path), "--label", "nothing"])
    assert wrong.exit_code == 2
    assert "nothing" in wrong.output
