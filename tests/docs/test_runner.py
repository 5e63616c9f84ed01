"""The runner of snippets itself: what is wrong on a page is found."""

import os
import time
from pathlib import Path

import pytest

from tests.docs.snippets import blocks, commands, faults, play
from tests.docs.test_snippets import environment


def run(text: str, folder: Path, *, long: bool = False) -> None:
    play(text, folder, environment(), long=long, within_s=60)


def test_blocks_run_in_order_in_one_folder(tmp_path: Path) -> None:
    run(
        "```toml file=a.toml\nx = 1\n```\n```python\nprint(open('a.toml').read())\n```\n```text output\nx = ...\n```\n"
        "```sh\ncat a.toml\necho more\n```\n```text output\n...\nmore\n```\n",
        tmp_path,
    )


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nfalse\necho not reached\n```\n",
        "```sh\nfalse | cat\n```\n",
        "```sh\necho $NOT_SET_ANYWHERE\n```\n",
        "```python\nraise ValueError\n```\n",
        "```python\nimport warnings\nwarnings.warn('old')\n```\n",
        "```sh\necho one\n```\n```text output\ntwo\n```\n",
        "```sh in-background ready=nothing-of-this-name\nexit 3\n```\n```sh\ncat .none\n```\n",
    ],
)
def test_what_fails_or_prints_something_else_is_found(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.docs.snippets.READY_S", 1)
    with pytest.raises(AssertionError):
        run(text, tmp_path)


def test_what_is_long_runs_only_where_long_tests_are(tmp_path: Path) -> None:
    text = "```sh long\ntouch made\n```\n```sh not-run=because-it-would-not-end\nsleep inf\n```\n"
    run(text, tmp_path)
    assert not (tmp_path / "made").exists()
    run(text, tmp_path, long=True)
    assert (tmp_path / "made").exists()


def test_what_runs_in_the_background_is_waited_for_and_ended(tmp_path: Path) -> None:
    text = "```sh in-background ready=up\necho $$ > pid\ntouch up\nexec sleep 600\n```\n```sh\ncat pid\n```\n"
    began = time.monotonic()
    run(text, tmp_path)
    assert time.monotonic() - began < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("inside", ["ruby\n1", "sh often\n1", "json\n{", "toml\na =", "sh not-run\n1"])
def test_a_block_that_no_rule_covers_is_found(inside: str) -> None:
    assert faults(list(blocks(f"```{inside}\n```\n")))


def test_commands_are_found_wherever_they_stand() -> None:
    lines = (
        "cat x | acclimate run --source - \\",
        "  --label y > log && FOO=1 acclimate status s",
        'echo "$(acclimate contest c)"',
    )
    found = commands("\n".join(lines), {"acclimate"})
    assert [words[1:] for words in found] == [
        ["run", "--source", "-", "--label", "y"],
        ["status", "s"],
        ["contest", "c"],
    ]
