"""The command line as an outside harness drives it: words, exit codes, outputs, and being killed."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acclimate_device.cli import main
from tests import streams

VOLATILE = {"throughput_events_per_s", "wall_s", "cpu_s", "peak_rss_mib"}
FAST = ["--learners", "softmax,naive-bayes"]


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def result_of(*args: str | Path) -> dict[str, Any]:
    """Run a replay that must succeed and return its JSON without time and memory."""
    done = run("replay", *args, "--json", "-")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"JSON holds {name}"))
    return {name: value for name, value in found.items() if name not in VOLATILE}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return streams.write_csv(tmp_path / "stream.csv", streams.classification(300))


def test_the_json_has_every_promised_field(data: Path) -> None:
    done = run("replay", data, "--label", "label", "--json", "-", *FAST)
    found = json.loads(done.stdout)
    assert {
        "rows_read", "rows_rejected", "rows_scored", "task", "classes", "served", "baselines", "windows",
        "throughput_events_per_s", "wall_s", "cpu_s", "peak_rss_mib", "state_bytes", "candidates", "promotions",
    } <= found.keys()  # fmt: skip
    assert {"accuracy", "accuracy_all_rows", "balanced_accuracy", "kappa", "kappa_temporal", "log_loss"} <= found[
        "served"
    ].keys()
    assert found["baselines"].keys() == {"no_change", "majority"}
    assert {"id", "learner", "status", "accuracy"} <= found["candidates"][0].keys()
    assert (found["rows_read"], found["rows_scored"], found["task"]) == (300, 299, "classification")


def test_regression_has_its_own_scores(tmp_path: Path) -> None:
    path = streams.write_csv(tmp_path / "r.csv", streams.regression(200))
    found = result_of(path, "--label", "target", "--key", "device", "--ignore", "device,nothing", "--learners", "rls")
    assert found["task"] == "regression"
    assert found["served"].keys() == {"mae", "rmse", "r2"}
    assert found["baselines"].keys() == {"last", "mean"}
    assert any("nothing" in text for text in found["warnings"])


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (["1", "2"] * 50, "classification"),
        ([str(i) for i in range(101)], "regression"),
        ([str(i) for i in range(100)], "classification"),
        (["1", "2.5"] * 50, "regression"),
        (["1.0", "2.0"] * 50, "classification"),
        (["1", "x"] * 60, "classification"),
    ],
)
def test_the_task_is_guessed_as_documented(tmp_path: Path, labels: list[str], task: str) -> None:
    table = [[str(i % 7), label] for i, label in enumerate(labels)]
    path = streams.write_csv(tmp_path / "t.csv", (["x", "y"], table))
    assert result_of(path, "--label", "y", "--learners", "knn")["task"] == task


def test_rows_counts_the_rows_of_the_file(data: Path) -> None:
    found = result_of(data, "--label", "label", "--rows", "120", *FAST)
    assert (found["rows_read"], found["rows_scored"]) == (120, 119)


def test_scored_rows_begin_after_the_first_label_has_arrived(data: Path) -> None:
    assert result_of(data, "--label", "label", "--delay", "50", *FAST)["rows_scored"] == 300 - 51


def test_gzip_jsonl_and_csv_give_the_same_numbers(data: Path, tmp_path: Path) -> None:
    zipped = tmp_path / "stream.csv.gz"
    zipped.write_bytes(gzip.compress(data.read_bytes()))
    header, table = streams.classification(300)
    lines = [json.dumps(dict(zip(header, row, strict=True))) for row in table]
    plain = tmp_path / "stream.jsonl"
    plain.write_text("\n".join(lines) + "\n")
    results = [result_of(path, "--label", "label", *FAST) for path in (data, zipped, plain)]
    assert results[0]["served"] == results[1]["served"] == results[2]["served"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--label", "nope"], 2, "x0"),
        ([], 2, "--label"),
        (["--label", "label", "--key", "nope"], 2, "nope"),
        (["--label", "label", "--learners", "nope"], 2, "softmax"),
        (["--label", "label", "--challengers", "nope"], 2, "committee-quick"),
        (["--label", "label", "--policy", "nope"], 2, "superiority"),
        (["--label", "label", "--delay", "-1"], 2, "delay"),
        (["--label", "label", "--task", "regression"], 1, "row"),
        (["--label", "label", "--json", "/nowhere/at/all.json"], 2, "all.json"),
    ],
)
def test_usage_errors_say_what_to_do(data: Path, args: list[str], code: int, words: str) -> None:
    done = run("replay", data, *args, *([] if "--learners" in args or "regression" in args else FAST))
    assert done.exit_code == code, done.output
    assert words in done.output
    assert "Traceback" not in done.output


def test_a_missing_file_is_a_failure_without_traceback() -> None:
    done = run("replay", "/no/such.csv", "--label", "y")
    assert done.exit_code == 1
    assert "Traceback" not in done.output


def test_rejected_rows_are_counted_and_exit_is_0(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    good = "".join(f"{i % 5},{'ab'[i % 2]}\n" for i in range(60))
    path.write_text("x,y\n" + good + "1\n1,a,2\ninf,a\n1e31,a\nabc,a\n3,\n")
    found = result_of(path, "--label", "y", *FAST)
    assert (found["rows_read"], found["rows_rejected"], found["rows_scored"]) == (66, 6, 59)
    assert [reject["row"] for reject in found["rejects"]] == [61, 62, 63, 64, 65, 66]
    assert all(reject["remedy"] for reject in found["rejects"])


def test_a_report_is_written(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert run("replay", data, "--label", "label", "--report", out, *FAST).exit_code == 0
    assert out.read_text().startswith("<!doctype html>")


def test_without_state_nothing_else_is_written(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    result_of(data, "--label", "label", *FAST)
    assert set(tmp_path.rglob("*")) == before


def test_state_is_bound_to_file_and_options(data: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = result_of(data, "--label", "label", "--state", state, *FAST)
    assert result_of(data, "--label", "label", "--state", state, *FAST) == first
    other = run("replay", data, "--label", "label", "--state", state, "--seed", "5", *FAST)
    assert other.exit_code == 2
    assert "seed" in other.output
    data.write_text(data.read_text() + "1,1,1,a,class1\n")
    changed = run("replay", data, "--label", "label", "--state", state, *FAST)
    assert changed.exit_code == 2
    assert "file_sha256" in changed.output


TRIGGERS = 'trigger = {kind = "any", of = [{kind = "time", every_rows = 300}, {kind = "drift", on = "loss"}]}'


@pytest.mark.parametrize(("extra", "most"), [([], 20), (["--policy", "superiority"], 8), (["--triggers"], 8)])
def test_twenty_kills_change_nothing(tmp_path: Path, extra: list[str], most: int) -> None:
    path = streams.write_csv(tmp_path / "long.csv", streams.classification(12_000))
    (tmp_path / "when.toml").write_text(TRIGGERS)
    extra = [*extra, str(tmp_path / "when.toml")] if extra == ["--triggers"] else extra
    options = ["--label", "label", "--delay", "40", "--micro-batch", "128", *extra, *FAST]
    expected = result_of(path, *options)
    state, out = tmp_path / "state", tmp_path / "out.json"
    command = [sys.executable, "-m", "acclimate_device.cli", "replay", str(path), *options]
    command += ["--state", str(state), "--json", str(out)]
    rng = random.Random(7)  # noqa: S311 (when to kill)
    kills = 0
    while kills < most:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        _wait_for_a_commit(process, state / "acclimate.db-wal")
        time.sleep(rng.uniform(0.0, 0.05))
        if process.poll() is not None:
            process.communicate()
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()  # also closes the pipe
        kills += 1
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert {name: value for name, value in found.items() if name not in VOLATILE} == expected
    assert kills >= most // 2, "the stream is too short to be killed often"


def _wait_for_a_commit(process: subprocess.Popen[bytes], wal: Path) -> None:
    """Wait until the process has written its state once more, or has ended."""
    before = wal.stat().st_mtime_ns if wal.exists() else 0
    limit = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < limit:
        if wal.exists() and wal.stat().st_mtime_ns != before:
            return
        time.sleep(0.005)


def test_demo_inspect_status_and_help(tmp_path: Path) -> None:
    for command in ([], ["replay"], ["demo"], ["run"], ["status"], ["inspect"]):
        done = run(*command, "--help")
        assert done.exit_code == 0
        assert "Example" in done.output or "Try:" in done.output or command == ["demo"]
    assert "rls" in run("inspect", "rls-classification").output
    assert run("inspect", "nothing").exit_code == 2
    assert run("status", tmp_path).exit_code == 2


def test_status_tells_what_a_state_holds(data: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    result_of(data, "--label", "label", "--state", state, *FAST)
    found = json.loads(run("status", state, "--json").output)
    assert found["learned"] == 300
    assert found["classes"]


def test_the_contest_is_in_the_result_and_bound_to_its_plan(data: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    text = 'metric = "m"\nloss = "brier"\nmde = 0.02\nequivalence = 0.01\nn_max = 5000\nchanged_by = ["owner"]\n'
    plan.write_text(text)
    args: list[str | Path] = [data, "--label", "label", *FAST, "--state", tmp_path / "state", "--plan", plan]
    found = result_of(*args, "--policy", "superiority", "--challengers", "committee")
    assert found["contest"]["policy"] == "superiority"
    assert found["contest"]["plan"] == found["options"]["plan"]
    plan.write_text(text.replace("5000", "6000"))  # an edited plan is another plan
    done = run("replay", *args, "--policy", "superiority", "--challengers", "committee")
    assert done.exit_code == 2
    assert "plan" in done.output


def test_what_cannot_be_a_plan_or_a_trigger_is_refused(data: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.toml"
    for text, option, words in (
        ("loss = 7", "--plan", "loss = 7"),
        ("not toml", "--plan", "TOML"),
        ("[trigger]\nkind = 'never'", "--triggers", "trigger"),
        ("not toml", "--triggers", "TOML"),
    ):
        odd.write_text(text)
        done = run("replay", data, "--label", "label", option, odd, *FAST)
        assert done.exit_code == 2, done.output
        assert words in done.output
        assert "Traceback" not in done.output


def test_the_demo_runs_and_writes_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("demo", "--json", tmp_path / "demo.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "demo.json").read_text())
    assert found["rows_rejected"] == 0
    assert found["served"]["accuracy"] > found["baselines"]["no_change"]["accuracy"] + 0.03
    assert (tmp_path / "acclimate-demo.html").stat().st_size > 10_000


def test_the_daemon_learns_live_is_stopped_and_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state"
    command = [sys.executable, "-m", "acclimate_device.cli", "run", "--period", "0.05", "--json", *FAST]
    command += ["--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(150)]
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    rows = lines + [json.loads(line) for line in rest.splitlines()]
    assert [row["row"] for row in rows] == list(range(1, len(rows) + 1))
    matured = sum(len(row["matured"]) for row in rows)
    assert matured > 0
    told = json.loads(run("status", state, "--json").output)
    assert told["learned"] == matured
    done = subprocess.run([*command, "--events", "5"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5


def test_what_the_system_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("acclimate_device.status.describe", full)
    done = CliRunner().invoke(main, ["status", str(tmp_path)])
    assert (done.exit_code, "Traceback" in done.output) == (1, False)
    assert "No space left on device" in done.output
