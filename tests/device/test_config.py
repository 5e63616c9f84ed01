"""One file in place of options: checked as the options are, and weaker than they."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acclimate_device import config
from acclimate_device.cli import main
from acclimate_device.cli_config import COMMANDS
from acclimate_shared.errors import UsageError
from acclimate_tools.config_doc import PLACE, document
from acclimate_tools.packaging.recipe import DEBIAN


def run(*words: object, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], env=environment)


def written(folder: Path, text: str) -> Path:
    path = folder / "acclimate.toml"
    path.write_text(text, "utf-8")
    return path


RUN = '[run]\nsource = "host"\nperiod = 0.05\nevents = 3\njson = true\nlearners = ["softmax"]\n'


def test_the_page_says_what_the_code_takes() -> None:
    assert PLACE.read_text("utf-8") == document(), "run python -m acclimate_tools.config_doc"


def test_the_file_of_the_package_is_right() -> None:
    assert config.read(DEBIAN / "acclimate.toml", COMMANDS) == {"run": {"source": "host"}}


def test_options_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, RUN)
    assert len(run("run", "--config", path).output.splitlines()) == 3
    assert len(run("run", "--config", path, "--events", 2).output.splitlines()) == 2
    assert len(run("run", environment={"ACCLIMATE_CONFIG": str(path)}).output.splitlines()) == 3


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, RUN + 'state = "kept"\n')
    assert run("run", "--config", path).exit_code == 0
    assert (tmp_path / "kept" / "acclimate.db").exists()
    assert config.read(path, COMMANDS)["run"]["state"] == str(tmp_path / "kept")


@pytest.mark.parametrize(
    ("text", "field", "remedy"),
    [
        ('[run]\nsorce = "host"', "run.sorce", "did you mean run.source?"),
        ("[runs]", "runs", "did you mean run?"),
        ("run = 3", "run", "did you mean run?"),
        ("[run]\nxyzzy = 1", "run.xyzzy", "the keys are: run.source"),
        ('[run]\nperiod = "fast"', "run.period", "number from 0.05 to 3,600"),
        ("[run]\nperiod = 0.001", "run.period", "number from 0.05 to 3,600"),
        ("[run]\nperiod = true", "run.period", "number from"),
        ("[run]\nevents = 1.5", "run.events", "whole number from 1"),
        ('[run]\npolicy = "best"', "run.policy", '"continual" or "superiority"'),
        ('[run]\nlearners = "rls"', "run.learners", "list of names"),
        ("[run]\njson = 1", "run.json", "true or false"),
        ('[run]\nplan = "gone.json"', "run.plan", "path"),
        ('[run]\nchallenger_package = ["gone"]', "run.challenger_package", "list of paths"),
        ("[run", "config", "correct the file"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, text: str, field: str, remedy: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        config.read(path, COMMANDS)
    assert caught.value.field == field
    assert remedy in str(caught.value.remedy)
    done = run("config", "check", path)
    assert done.exit_code == 2
    assert field in done.output
    assert "Traceback" not in done.output


def test_what_holds_is_shown_with_its_origin(tmp_path: Path) -> None:
    path = written(tmp_path, RUN)
    assert "5 keys in 1 tables" in run("config", "check", path).output
    shown = json.loads(run("config", "show", path, "--json").output)
    assert shown["run"]["period"] == {"value": 0.05, "from": "file"}
    assert shown["run"]["policy"] == {"value": "continual", "from": "default"}
    assert shown["run"]["state"] == {"value": None, "from": "default"}
    text = run("config", "show").output
    assert "[serve]" in text
    assert "micro_batch  512  (default)" in text
    assert "UNSET" not in text
