"""The commands of the README, run in order in one folder; its Python is a doctest of the whole suite."""

import contextlib
import csv
import gzip
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

import acclimate_device
from acclimate_tools.docs.site import ROOT
from tests.docs.snippets import commands
from tests.docs.test_snippets import environment

#: Commands that need more than a file, and where they are run instead.
ELSEWHERE = {
    "acclimate serve": "docs/tutorials/device.md",
    "acclimate enrol": "docs/tutorials/fleet.md",
    "acclimate run --source -": "docs/tutorials/device.md; read-sensor is the reader's own",
    "acclimate update": "tests/device/sync",
    "acclimate-author": "docs/howto/torch-model.md, docs/tutorials/fleet.md",
    "acclimate forget": "docs/howto/recover.md, where a robot gives labels",
    "acclimate rollback": "docs/howto/recover.md; it needs a state that was proven",
    "acclimate wipe": "docs/howto/recover.md; it asks",
}
WHEN = '[trigger]\nkind = "volume"\nlabelled = 64\n'
LIVE_S = 8.0


def lines() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    ours = [line for line in found if list(commands(line, {"acclimate", "acclimate-author"}))]
    return [line for line in ours if not any(words in line for words in ELSEWHERE)]


@pytest.mark.long
def test_the_commands_of_the_readme(tmp_path: Path) -> None:
    _furnish(tmp_path)
    run = lines()
    assert len(run) > 15
    failed = []
    for line in run:
        with subprocess.Popen(
            ["bash", "-c", line],  # noqa: S607
            cwd=tmp_path, env={**environment(), "ACCLIMATE_PASSPHRASE": "for this test alone"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            if "--source host" in line:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LIVE_S)
                os.killpg(process.pid, signal.SIGINT)
            said, _ = process.communicate(timeout=300)
        if process.returncode:
            failed.append(f"{line}: {process.returncode}: {said[-600:]}")
    assert failed == []


def _furnish(folder: Path) -> None:
    """Make the files that the README takes for granted."""
    recording = Path(acclimate_device.__file__).parent / "recordings" / "host_telemetry.csv.gz"
    with gzip.open(recording, "rt", encoding="utf-8", newline="") as source:
        rows = list(csv.reader(source))[:2500]
    names = ["target" if name == "cpu_ahead" else name for name in rows[0]]
    with (folder / "data.csv").open("w", encoding="utf-8", newline="") as data:
        csv.writer(data).writerows([names, *rows[1:]])
    plan = next(block for block in _toml() if "metric" in block)
    (folder / "plan.toml").write_text(plan)
    (folder / "when.toml").write_text(WHEN)


def _toml() -> list[str]:
    return re.findall(
        r"^```toml\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
