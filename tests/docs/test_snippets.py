"""The commands and snippets of every page are run, and what pages show of their output is compared."""

import contextlib
import os
import random
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from acclimate_tools.docs.figures import fill, read_results
from acclimate_tools.docs.reference import COMMANDS
from acclimate_tools.docs.site import DOCS, ROOT
from tests.docs import snippets
from tests.hub.servers import postgresql, program

#: Written by people: all but decisions, which tell of their day, and what comes from elsewhere.
PAGES = sorted(path for path in DOCS.rglob("*.md") if "adr" not in path.parts)
MOST_S, MOST_LONG_S = 300.0, 900.0
#: Programs that are not Python's and that pages need.
NEEDED = ("mosquitto", "nc", "curl")
#: A page that names this variable is given a database server.
DATABASE = "ACCLIMATE_HUB_DATABASE"
#: Pages that are run as a whole only where long tests are, and why.
LONG = {"howto/torch-model.md": "torch", "howto/broker-and-database.md": "a database server"}


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def environment() -> dict[str, str]:
    """Return ours, with our Python and commands first, and output that does not depend on a terminal."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    plain = {"COLUMNS": "100", "NO_COLOR": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PATH": path}
    return {name: value for name, value in os.environ.items() if not name.startswith("ACCLIMATE_")} | plain


def text_of(page: Path) -> str:
    text = fill(page.read_text(encoding="utf-8"), read_results(DOCS / "results"))
    for port, free in zip(snippets.PORTS, quiet_ports(), strict=False):
        text = text.replace(port, str(free))
    return text


def quiet_ports() -> Iterator[int]:
    """Yield ports that nobody uses, below those that the system gives to connections: pages use them much later."""
    for port in random.sample(range(20_000, 32_000), 200):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            yield port


def runs(page: Path) -> bool:
    return any(block.runs for block in snippets.blocks(page.read_text(encoding="utf-8")))


RUNNING = [page for page in PAGES if runs(page)]


def play(page: Path, folder: Path, *, long: bool) -> None:
    text = text_of(page)
    for needed in NEEDED:
        if re.search(rf"\b{needed}\b", text):
            program(needed)
    with contextlib.ExitStack() as servers:
        ours = environment()
        if DATABASE in text:
            ours[DATABASE] = servers.enter_context(postgresql()).format("postgres")
        snippets.play(text, folder, ours, long=long, within_s=MOST_LONG_S if long else MOST_S)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in RUNNING if name_of(page) not in LONG], ids=name_of)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    play(page, tmp_path, long=False)


@pytest.mark.long
@pytest.mark.parametrize("page", RUNNING, ids=name_of)
def test_a_page_does_all_that_it_says(page: Path, tmp_path: Path) -> None:
    play(page, tmp_path, long=True)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_of_a_known_kind(page: Path) -> None:
    assert snippets.faults(list(snippets.blocks(page.read_text(encoding="utf-8")))) == []


def typed(text: str) -> Iterator[list[str]]:
    """Yield every command of ours that a page shows, whether it is run or not."""
    for block in snippets.blocks(text):
        if block.language == "sh":
            yield from snippets.commands(block.text, set(COMMANDS))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_and_option_exists(page: Path) -> None:
    for words in typed(page.read_text(encoding="utf-8")):
        snippets.parsed(COMMANDS[words[0]], words)


def test_every_command_and_option_of_the_readme_exists() -> None:
    indented = re.findall(r"^    (\S.*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    shown = list(snippets.commands("\n".join(indented), set(COMMANDS)))
    assert len(shown) > 20
    for words in shown:
        snippets.parsed(COMMANDS[words[0]], words)


def test_a_command_that_does_not_exist_is_found() -> None:
    with pytest.raises(click.UsageError):
        snippets.parsed(COMMANDS["acclimate"], ["acclimate", "replay", "data.csv", "--labels", "x"])
    with pytest.raises(click.UsageError):
        snippets.parsed(COMMANDS["acclimate"], ["acclimate", "replays"])
