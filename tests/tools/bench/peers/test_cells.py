"""Cells in processes of their own, what is prepared for them, and the command around them."""

import csv
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from acclimate_tools.bench import compare
from acclimate_tools.bench.peers import venvs
from acclimate_tools.bench.peers.catalogue import ENTRIES, FAMILIES, Entry, Family
from acclimate_tools.bench.peers.cells import Cell, Ran, Stream, run_all, run_one
from acclimate_tools.bench.peers.prepare import record
from acclimate_tools.bench.peers.recording import Recording
from acclimate_tools.bench.peers.venvs import AbsentError, Environment
from tests import streams

HERE = Environment(python=Path(sys.executable), path=tuple(Path(part) for part in sys.path if part))
NOWHERE = Environment(python=Path("/nowhere/python"), path=())


def _cell(folder: Path, name: str, *, model: str = "") -> Cell:
    path = streams.write_csv(folder / "stream.csv", streams.classification(120))
    recording = record(path, "label", (), 120, folder / "recording")
    found = next(entry for entry in ENTRIES if entry.name == name)
    entry = Entry(name=name, family=found.family, model=model or found.model)
    stream = Stream(name="stream", path=path, label="label", ignore=(), recording=recording)
    return Cell(stream=stream, entry=entry, delay=4, budget_s=20.0, seed=0)


@pytest.mark.slow
def test_a_cell_runs_once_in_a_process_of_its_own(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    cells = [_cell(tmp_path, name) for name in ("Acclimate mlp alone", "sklearn SGD, by 32")]
    told: list[Ran] = []
    ran = run_all(cells, dict.fromkeys(FAMILIES, HERE), tmp_path / "cells", 1, told.append)
    assert len(told) == 2
    for one in ran:
        assert not one.failed
        assert one.cost["rows"] == len(one.answers) == 120
        assert one.cost["complete"]
        assert 0 < one.cost["first_answer_cpu_s"] <= one.cost["cpu_s"]
        assert one.cost["peak_rss_bytes"] > 10_000_000
        assert one.cost["state_bytes"] > 0
    assert ran[0].cost["classes"] == list(cells[0].stream.recording.facts.classes), "class indices mean the same"
    again = run_one(cells[0], NOWHERE, tmp_path / "cells", core)
    np.testing.assert_array_equal(again.answers, ran[0].answers)


@pytest.mark.slow
def test_a_cell_that_fails_says_why_and_is_not_tried_again(tmp_path: Path) -> None:
    cell = _cell(tmp_path, "sklearn SGD, by 32", model="sgd-none")
    failed = run_one(cell, HERE, tmp_path / "cells", min(os.sched_getaffinity(0)))
    assert "ValueError" in failed.failed
    assert run_one(cell, NOWHERE, tmp_path / "cells", 0).failed == failed.failed


def test_a_recording_holds_the_rows_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    kinds = ["a", "b", "a", ""] * 5
    rows = [[i if i % 3 else "", kind, f"c{i % 2}"] for i, kind in enumerate(kinds)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["x", "kind", "label"], *rows])
    record(path, "label", (), 15, tmp_path / "recording")
    recording = Recording(tmp_path / "recording")
    facts, block = recording.facts, next(iter(recording.blocks()))
    assert (facts.task, facts.rows, facts.width) == ("classification", 15, 3)
    assert (facts.numbers, facts.categories, facts.levels) == (("x",), ("kind",), (("a", "b"),))
    assert block.numbers[:, 0].tolist()[:7] == [0.0, 1.0, 2.0, 2.0, 4.0, 5.0, 5.0], "a gap is the last value"
    assert block.codes[:, 0].tolist()[:5] == [0, 1, 0, -1, 0]
    assert block.one_hot(facts)[:4, 1:].tolist() == [[1, 0], [0, 1], [1, 0], [0, 0]]
    assert [facts.classes[i] for i in recording.targets()[:3]] == ["c0", "c1", "c0"]
    assert not any(map(math.isnan, block.numbers[:, 0]))


def test_an_installation_is_measured_in_bytes_and_a_missing_java_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    assert venvs.size_of(tmp_path) == 5
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AbsentError, match="no Java"):
        venvs.environment(FAMILIES["capymoa"])


@pytest.mark.slow
def test_what_cannot_be_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venvs, "FOLDER", tmp_path)
    with pytest.raises(AbsentError, match="could not be installed"):
        venvs.environment(Family(name="none", adapter="", packages=("no requirement",), shown="none"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--peer", "nobody"], "no peer is called 'nobody'"),
        (["--csv", __file__], "--csv needs --label"),
        (["--rows", "3"], "Invalid value for '--rows'"),
        (["--csv", __file__, "--label", "none", "--out", "/nowhere/x.json"], "cannot write there"),
    ],
)
def test_what_cannot_be_measured_is_refused(options: list[str], said: str) -> None:
    result = CliRunner().invoke(compare.main, options)
    assert result.exit_code
    assert said in result.output


def test_help_has_examples() -> None:
    result = CliRunner().invoke(compare.main, ["--help"])
    assert "python -m acclimate_tools.bench.compare --csv pump.csv --label state" in result.output


def test_a_peer_is_chosen_by_a_part_of_its_name_and_acclimate_is_always_there() -> None:
    assert [entry.name for entry in compare.chosen(["river ARF", "quadratic"])] == [
        "Acclimate continual",
        "River ARF(10)",
        "VW quadratic",
    ]
    assert compare.chosen([]) == list(ENTRIES)


def test_the_catalogue_names_each_peer_once_and_its_packages_with_versions() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    assert all("==" in package for family in FAMILIES.values() for package in family.packages)
    pinned = json.loads(json.dumps([family.packages for family in FAMILIES.values()]))
    assert ["river==0.26.1"] in pinned
