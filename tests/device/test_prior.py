"""A prior: what was learned elsewhere answers from the first event; the rest begins at nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acclimate_device.cli import main
from tests import streams

FAST = ["--label", "label", "--learners", "softmax,naive-bayes"]


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["replay", *(str(arg) for arg in args)])


def result_of(*args: object) -> Any:
    done = run(*args, "--json", "-")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    header, rows = streams.classification(2_200)
    path = streams.write_csv(tmp_path / "others.csv", (header, rows[:2_000]))
    streams.write_csv(tmp_path / "new.csv", (header, rows[2_000:]))
    result_of(path, *FAST, "--state", tmp_path / "others")
    return tmp_path / "others"


@pytest.mark.parametrize("policy", ["continual", "superiority"])
def test_the_first_rows_are_answered_better(prior: Path, tmp_path: Path, policy: str) -> None:
    path = tmp_path / "new.csv"
    alone = result_of(path, *FAST, "--policy", policy)
    helped = result_of(path, *FAST, "--policy", policy, "--prior", prior)
    assert helped["served"]["accuracy"] > alone["served"]["accuracy"] + 0.05
    assert helped["rows_scored"] == alone["rows_scored"]
    assert helped["contest"]["tests_started"] == 0


def test_a_state_is_bound_to_its_prior(prior: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    first = result_of(path, *FAST, "--state", tmp_path / "own", "--prior", prior)
    again = result_of(path, *FAST, "--state", tmp_path / "own", "--prior", prior)
    assert again["served"] == first["served"]
    done = run(path, *FAST, "--state", tmp_path / "own")
    assert done.exit_code == 2
    assert "prior" in done.output


def test_a_prior_that_does_not_fit_is_refused(prior: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    narrow = tmp_path / "narrow.csv"
    narrow.write_text("a,label\n" + "".join(f"{i % 7},{'xy'[i % 2]}\n" for i in range(50)))
    (tmp_path / "empty").mkdir()
    for args, words in (
        ((path, "--label", "label", "--learners", "softmax", "--prior", prior), "other learners"),
        ((narrow, *FAST, "--prior", prior), "other "),
        ((path, *FAST, "--prior", tmp_path / "empty"), "no state here"),
    ):
        done = run(*args)
        assert done.exit_code == 2, done.output
        assert words in done.output
        assert "Traceback" not in done.output
