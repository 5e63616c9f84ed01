"""A backtest says how long a test will take, and is right: measured on tests that are really run."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from acclimate_device.backtest import backtest, compare, forecast
from acclimate_device.cli import main
from acclimate_device.inputs import Inputs
from acclimate_device.plans import CLASSIFICATION, REGRESSION, with_backtest
from acclimate_device.replay import Options
from acclimate_device.rules import NONE, Rules
from acclimate_device.schema import infer_columns
from acclimate_shared.errors import UsageError
from acclimate_shared.evidence import Outcome, Plan, Test
from tests import streams

ALPHA = 0.03
RUNS = 25


def paired(rng: np.random.Generator, labels: int, better: float, disagree: float, hangs: float = 0.0) -> np.ndarray:
    """Return 0/1 losses (labels, 2) that differ on a share, the second better on average; in runs if ``hangs``."""
    out = np.zeros((labels, 2))
    out[:, :] = (rng.random(labels) < 0.3)[:, None]
    length = max(1, round(1 / (1 - hangs)))
    u = np.repeat(rng.random(labels // length + 1), length)[:labels]
    wins, loses = (disagree + better) / 2, (disagree - better) / 2
    out[u < wins] = (1.0, 0.0)
    out[u > 1 - loses] = (0.0, 1.0)
    return out


def measured(plan: Plan, before: np.ndarray, after: np.ndarray) -> tuple[str, int]:
    """Run a test with the design from before; a restart goes on, its labels counted."""
    fixed, total, alpha = with_backtest(plan, before), 0, ALPHA
    test, d = Test.new(fixed.design(alpha)), after[:, 0] - after[:, 1]
    while test.update_many(d[total:]) is Outcome.RESTART:
        total += test.n
        test = test.restarted(alpha)
    return test.outcome.value, total + test.n


@pytest.mark.parametrize(
    ("better", "disagree", "hangs", "decision"),
    [
        (0.02, 0.04, 0.0, "promote"),
        (0.01, 0.03, 0.0, "promote"),
        (0.05, 0.10, 0.0, "promote"),
        (0.03, 0.06, 0.8, "promote"),
        (-0.02, 0.06, 0.0, "reject"),
        (-0.04, 0.08, 0.75, "reject"),
        (0.0, 0.005, 0.0, "equivalent"),
    ],
)
def test_the_expected_labels_are_those_that_tests_take(
    better: float, disagree: float, hangs: float, decision: str
) -> None:
    rng = np.random.default_rng(0)
    foreseen, taken, outcomes = [], [], []
    for _ in range(RUNS):
        before = paired(rng, 8_000, better, disagree, hangs)
        found = compare(CLASSIFICATION, before, ALPHA, "b")
        foreseen.append(found.forecast)
        outcome, labels = measured(CLASSIFICATION, before, paired(rng, 40_000, better, disagree, hangs))
        outcomes.append(outcome)
        taken.append(labels)
    assert outcomes.count(decision) >= 0.8 * RUNS  # now and then a test decides otherwise
    told = [forecast.labels for forecast in foreseen]
    assert sum(forecast.decision == decision for forecast in foreseen) >= 0.9 * RUNS
    assert 0.5 <= np.mean(told) / np.mean(taken) <= 2.0


def test_what_cannot_be_told_apart_is_parked_at_the_end_of_the_plan() -> None:
    before = paired(np.random.default_rng(1), 8_000, 0.0, 0.3)
    found = compare(CLASSIFICATION, before, ALPHA, "b").forecast
    assert (found.decision, found.labels, found.in_time) == ("equivalent", CLASSIFICATION.n_max, False)


def test_the_interval_holds_the_truth_and_a_smaller_level_takes_longer() -> None:
    rng = np.random.default_rng(2)
    before = paired(rng, 20_000, 0.02, 0.06)
    loose, strict = (compare(CLASSIFICATION, before, alpha, "b") for alpha in (0.03, 0.0003))
    assert loose.low < 0.02 < loose.high
    assert strict.low < loose.low
    assert loose.forecast.labels < strict.forecast.labels
    assert loose.disagreement == pytest.approx(0.06, abs=0.01)


def test_identical_candidates_are_equivalent_and_nothing_breaks() -> None:
    same = np.tile((np.random.default_rng(0).random(2_000) < 0.3)[:, None], (1, 2)).astype(float)
    found = compare(CLASSIFICATION, same, ALPHA, "b")
    assert (found.difference, found.disagreement, found.autocorrelation) == (0.0, 0.0, 0.0)
    assert found.forecast.decision == "equivalent"


def test_errors_of_a_regression_are_capped_as_in_a_test() -> None:
    rng = np.random.default_rng(3)
    raw = np.abs(rng.standard_normal((6_000, 2))) * np.array([1.2, 1.0])
    raw[::500] = 1e6
    found = compare(REGRESSION, raw, ALPHA, "b")
    assert found.forecast.decision == "promote"
    assert 0 < found.low < found.difference < found.high < 1


def test_a_forecast_depends_on_nothing_but_the_design_and_the_differences() -> None:
    before = paired(np.random.default_rng(4), 4_000, 0.02, 0.06)
    design = with_backtest(CLASSIFICATION, before).design(ALPHA)
    d = before[:, 0] - before[:, 1]
    assert forecast(design, d) == forecast(design, d.copy())
    assert forecast(design, np.empty(0)).in_time is False


def test_it_refuses_what_it_cannot_judge() -> None:
    options = Options(task="classification", rules=Rules(challengers=NONE))
    with pytest.raises(UsageError, match="rows"):
        backtest(Inputs("classification", infer_columns(["a"], [["1"]])[0]), options, [])


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    path = streams.write_csv(tmp_path / "a.csv", streams.classification(1_600))
    plan = tmp_path / "plan.json"
    plan.write_bytes(msgspec.structs.replace(CLASSIFICATION, n_max=5_000).canonical())
    asked = ["backtest", str(path), "--label", "label", "--delay", "5", "--learners", "softmax,naive-bayes,rls"]
    run = CliRunner().invoke(main, [*asked, "--plan", str(plan), "--per-day", "1000"], env={"COLUMNS": "160"})
    assert run.exit_code == 0, run.output
    assert "naive-bayes" in run.output
    assert "days" in run.output
    assert "rho" in run.output
    narrow = CliRunner().invoke(main, [*asked, "--plan", str(plan), "--per-day", "1000"], env={"COLUMNS": "80"})
    assert "…" not in narrow.output
    assert "days" in narrow.output
    run = CliRunner().invoke(main, [*asked, "--challengers", "softmax", "--json", "-"])
    found = json.loads(run.stdout)
    assert [pair["candidate"] for pair in found["pairs"]] == ["softmax"]
    assert found["labels"] == 800
    assert found["pairs"][0]["forecast"]["labels"] > 0


@pytest.mark.parametrize(
    ("extra", "code"), [(["--challengers", "nobody"], 2), (["--challengers", "none"], 2), (["--rows", "300"], 2)]
)
def test_wrong_usage_says_what_to_do(tmp_path: Path, extra: list[str], code: int) -> None:
    path = streams.write_csv(tmp_path / "a.csv", streams.classification(1_100))
    run = CliRunner().invoke(main, ["backtest", str(path), "--label", "label", "--learners", "softmax,rls", *extra])
    assert run.exit_code == code
    assert "Traceback" not in run.output
