"""Fenced blocks of a page, and a run of them: in order, in one folder, as a reader would.

What stands after the language of a block says what becomes of it:

    ```sh                           run by bash; the first command that fails ends the page
    ```sh in-background ready=X     run until the page ends; the next block waits for the file X, or for the port :N
    ```sh long                      run only where long tests are
    ```sh not-run=why               not run, for the reason that stands there; its options are checked all the same
    ```python                       run by Python, each block by itself
    ```toml file=plan.toml          kept as that file (any language)
    ```text output                  what the block before it has printed; ``...`` stands for anything
    ```json                         shown, not run; it must be JSON; so must TOML be TOML
"""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

RUN = {"sh": "bash -euo pipefail", "python": "python -W error"}
SHOWN = {"text", "json", "toml", "csv"}
_FENCE = re.compile(r"^```(\{?[\w\-]*\}?) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WORDS = re.compile(r'([\w\-]+)(?:=("[^"]*"|\S+))?')
READY_S = 120
PORTS = ("18080", "18883", "18884")  # of the pages; free ones take their places
END_S, TURN_S = 30.0, 0.05
TIMED_OUT = 124  # as `timeout` says it
_END = "=====block="  # between the outputs of two blocks


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``words`` are what stands after its language."""

    line: int
    language: str
    words: dict[str, str]
    text: str

    @property
    def runs(self) -> bool:
        return self.language in RUN and "not-run" not in self.words and "file" not in self.words


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    for found in _FENCE.finditer(text):
        words = {name: value.strip('"') for name, value in _WORDS.findall(found[2])}
        yield Block(text.count("\n", 0, found.start()) + 1, found[1], words, found[3])


def faults(found: Sequence[Block]) -> list[str]:
    """Return what is wrong with the blocks of a page, without running them."""
    wrong = []
    for block in found:
        if block.language not in {*RUN, *SHOWN, "{toctree}", "{eval-rst}"}:
            wrong.append(f"line {block.line}: no such kind of block: {block.language!r}")
        if unknown := set(block.words) - {"in-background", "ready", "long", "not-run", "file", "output"}:
            wrong.append(f"line {block.line}: unknown words: {sorted(unknown)}")
        if "not-run" in block.words and len(block.words["not-run"]) < 10:
            wrong.append(f"line {block.line}: say why it is not run")
        reader = READERS.get(block.language)
        try:
            if reader is not None:
                reader(block.text)
        except ValueError as exc:
            wrong.append(f"line {block.line}: {exc}")
    return wrong


def _json(text: str) -> None:
    """Read one document, or one a line."""
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


READERS: dict[str, Callable[[str], object]] = {"json": _json, "toml": tomllib.loads}


def script(found: Sequence[Block], *, long: bool) -> tuple[str, list[Block]]:
    """Return one script of bash that does what the blocks say, and the blocks that are run in front of others."""
    lines, run = [], []
    for block in found:
        if "file" in block.words:
            lines.append(_kept(block.words["file"], block.text))
        elif block.runs and (long or "long" not in block.words):
            name = f".block-{block.line}"
            lines.append(_kept(name, block.text))
            command = f"{RUN[block.language]} {name}"
            if "in-background" in block.words:
                lines += [f"{command} > {name}.log 2>&1 &", _waiting(block.words.get("ready", ""), name)]
            else:
                lines += [f"echo {_END}{block.line}", command]
                run.append(block)
    return "\n".join(lines) + "\n", run


def _kept(name: str, text: str) -> str:
    return f"cat > {name} <<'END-OF-BLOCK'\n{text}END-OF-BLOCK"


def _waiting(ready: str, name: str) -> str:
    test = f"(: < /dev/tcp/127.0.0.1/{ready[1:]}) 2>/dev/null" if ready.startswith(":") else f"[ -e {ready} ]"
    return (
        f"for _ in $(seq {READY_S * 10}); do {test} && break; sleep 0.1; done; {test} || {{ cat {name}.log; exit 1; }}"
    )


def play(text: str, folder: Path, environment: dict[str, str], *, long: bool, within_s: float) -> None:
    """Run a page in an empty folder; what it says that its commands print must be printed.

    Raises:
        AssertionError: a command failed, or printed something else.
    """
    found = list(blocks(text))
    written, _ = script(found, long=long)
    (folder / ".page").write_text(written)
    code = _bash(folder, environment, within_s)
    said = (folder / ".printed").read_text()
    parts = dict(re.findall(rf"^{_END}(\d+)\n(.*?)(?=^{_END}|\Z)", said, re.MULTILINE | re.DOTALL))
    last = max(map(int, parts), default=0)
    assert code == 0, f"the block in line {last} ended with {code}:\n{parts.get(str(last), said)}"
    before = 0
    for block in found:
        if "output" in block.words and str(before) in parts:
            assert _like(block.text).search(_plain(parts[str(before)])), (
                f"line {block.line} shows:\n{block.text}\nbut it printed:\n{parts[str(before)]}"
            )
        elif block.runs and "in-background" not in block.words:
            before = block.line


def _bash(folder: Path, environment: dict[str, str], within_s: float) -> int:
    """Run the script of a page, then end what it has left running; return how it ended."""
    command = ["bash", "-euo", "pipefail", ".page"]
    with (folder / ".printed").open("wb") as printed:
        page = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return page.wait(within_s)
        except subprocess.TimeoutExpired:
            return TIMED_OUT
        finally:
            _end(page)


def _end(page: subprocess.Popen[bytes]) -> None:
    """End all that a page has started, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(page.pid, signal.SIGTERM)
        page.wait(END_S)
        for _ in range(round(END_S / TURN_S)):
            os.killpg(page.pid, 0)
            time.sleep(TURN_S)
        os.killpg(page.pid, signal.SIGKILL)


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _like(shown: str) -> re.Pattern[str]:
    return re.compile(".*?".join(map(re.escape, _plain(shown).split("..."))), re.DOTALL)


def commands(text: str, names: set[str]) -> Iterator[list[str]]:
    """Yield the commands in a script that begin with one of the names, as words."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                if words and words[0] in names:
                    yield words
                words = []
            elif words or ("=" not in word and word not in {"if", "then", "do"}):
                words.append(word)
            if "$(" in word:
                yield from commands(word.partition("$(")[2].rpartition(")")[0], names)


def parsed(command: click.Command, words: Sequence[str]) -> None:
    """Check that the commands and options of a line exist.

    Raises:
        click.UsageError: one does not.
    """
    context, rest = click.Context(command, info_name=words[0]), list(words[1:])
    while isinstance(command, click.Group):
        _, rest, _ = command.make_parser(context).parse_args(rest)
        if not rest:
            return
        _, found, rest = command.resolve_command(context, rest)
        if found is None:
            return
        command, context = found, click.Context(found, parent=context)
    command.make_parser(context).parse_args(rest)
