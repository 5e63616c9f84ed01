"""acclimate-author as a user drives it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acclimate_shared.learner import load_package
from acclimate_tools.author.cli import main

GOOD = '[learner]\nname = "pump"\ntask = "classification"\nfeatures = 4\nclasses = 3\nhidden = [8]\n'


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_build_and_inspect(tmp_path: Path) -> None:
    spec = tmp_path / "pump.toml"
    spec.write_text(GOOD)
    done = run("build", spec, "--out", tmp_path / "pump", "--steps", "5", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["parity"]["worst"] <= 1e-5
    assert found["flops_per_step"] == 2 * 32 * (4 * 8 + 8 * 3) + 2 * 32 * (4 * 8 + 8 * 3) + 2 * 32 * 8 * 3
    assert found["ms_per_step"] > 0
    assert load_package(tmp_path / "pump").digest == found["digest"]
    shown = run("inspect", tmp_path / "pump")
    assert shown.exit_code == 0
    assert found["digest"] in shown.output


def test_a_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mymodels.py").write_text(
        "from torch import nn\nfrom acclimate_tools.author.networks import Network\n"
        "def pump():\n    return Network(module=nn.Linear(3, 1), name='p', task='regression', features=3)\n"
        "def wrong():\n    return 5\n"
    )
    monkeypatch.chdir(tmp_path)
    assert run("build", "mymodels:pump", "--out", tmp_path / "p", "--steps", "3").exit_code == 0
    assert "Network or a Source" in run("build", "mymodels:wrong", "--out", tmp_path / "q").output


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("not toml [", "cannot use"),
        (GOOD + "colour = 3\n", "colour"),
        (GOOD.replace("3\n", '"three"\n'), "int"),
        ("", "required"),
    ],
)
def test_a_wrong_file_is_a_usage_error(tmp_path: Path, text: str, word: str) -> None:
    spec = tmp_path / "bad.toml"
    spec.write_text(text)
    done = run("build", spec, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert word in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("spec", ["nothing", "no_such_module:f", "json:nope"])
def test_a_spec_that_is_nothing(spec: str, tmp_path: Path) -> None:
    assert run("build", spec, "--out", tmp_path / "out").exit_code == 2


def test_a_broken_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    done = run("inspect", tmp_path)
    assert done.exit_code == 1
    assert "Traceback" not in done.output
