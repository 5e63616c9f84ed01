"""What is released and what it is called: versions by digest, and aliases that remember where they pointed.

An alias (``stable``, ``canary``) names one released bundle of a model. Every move is appended to a history, with who
and why; nothing is rewritten, and a rollback is one more move, back to where the alias pointed before its last advance.
Only what signed targets list can be pointed at, so a stolen hub can choose among releases and no more. Where history is
kept is a small protocol: a file of JSON lines here, a table in the hub.
"""

import os
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from acclimate_shared.durable import sync_folder
from acclimate_shared.errors import CorruptStateError, StateError, StateMismatchError, UsageError
from acclimate_shared.release import Listed, number

_ALIAS = re.compile(r"[a-z][a-z0-9_\-]{0,63}\Z")
MAX_WORDS_CHARS = 1000


class Move(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the history of an alias; ``index`` counts the moves of that alias from 0."""

    model: str
    alias: str
    index: int
    kind: Literal["set", "rollback"]
    digest: str
    by: str
    why: str
    at: datetime


class AliasLog(Protocol):
    """Keeps moves for ever, in order."""

    def moves(self, model: str, alias: str) -> list[Move]:
        """Return the moves of an alias, oldest first.

        Raises:
            CorruptStateError: If they cannot be read.
        """

    def append(self, move: Move) -> None:
        """Keep one move more, durably.

        Raises:
            StateMismatchError: If the alias has a move of that index already: somebody else was faster.
            StateError: If it cannot be kept.
        """


class MemoryAliasLog:
    """A history that ends with the process."""

    def __init__(self, moves: Iterable[Move] = ()) -> None:
        """Begin with these moves."""
        self._moves = list(moves)

    def moves(self, model: str, alias: str) -> list[Move]:
        """See ``AliasLog``."""
        return [move for move in self._moves if (move.model, move.alias) == (model, alias)]

    def append(self, move: Move) -> None:
        """See ``AliasLog``."""
        _check_next(self.moves(move.model, move.alias), move)
        self._moves.append(move)


class FileAliasLog:
    """A history in a file of JSON lines, for one process; a last line that a power cut left unfinished is dropped."""

    def __init__(self, path: Path) -> None:
        """Use a file; it is made with the first move."""
        self._path = path

    def moves(self, model: str, alias: str) -> list[Move]:
        """See ``AliasLog``."""
        return MemoryAliasLog(self._read()).moves(model, alias)

    def append(self, move: Move) -> None:
        """See ``AliasLog``."""
        _check_next(self.moves(move.model, move.alias), move)
        line = msgspec.json.encode(move, order="sorted") + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            known = self._path.read_bytes() if self._path.exists() else b""
            whole = known.rfind(b"\n") + 1
            with self._path.open("r+b" if known else "wb") as file:
                file.truncate(whole)
                file.seek(whole)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if not known:
                sync_folder(self._path.parent)
        except OSError as exc:
            raise StateError(f"history cannot be kept: {exc}", field="file", value=str(self._path)) from exc

    def _read(self) -> list[Move]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise CorruptStateError(f"history cannot be read: {exc}", field="file", value=str(self._path)) from exc
        try:
            return [msgspec.json.decode(line, type=Move) for line in data[: data.rfind(b"\n") + 1].splitlines()]
        except msgspec.MsgspecError as exc:
            raise CorruptStateError(f"history is damaged: {exc}", field="file", value=str(self._path)) from exc


class Registry:
    """See the module."""

    def __init__(self, listed: Callable[[], list[Listed]], log: AliasLog, clock: Callable[[], datetime]) -> None:
        """Use what is signed.

        Args:
            listed: Returns the releases that current targets list, e.g. ``Repository.listed``.
            log: Keeps the moves of aliases.
            clock: Returns now, with a time zone.
        """
        self._listed, self._log, self._clock = listed, log, clock

    def versions(self, model: str) -> list[Listed]:
        """Return the releases of a model, oldest version first."""
        found = [item for item in self._listed() if item.release.model == model]
        return sorted(found, key=lambda item: number(item.release.version))

    def find(self, model: str, name: str) -> Listed:
        """Return the release that a version, an alias or a digest (16 digits or more) names.

        Raises:
            UsageError: If there is none, or the alias points at one that was withdrawn.
        """
        versions = self.versions(model)
        for item in versions:
            if name in (item.release.version, item.digest) or (_is_short(name) and item.digest.startswith(name)):
                return item
        moves = self._log.moves(model, name)
        for item in versions:
            if moves and item.digest == moves[-1].digest:
                return item
        remedy = "name a version, a digest or an alias of a signed release"
        raise UsageError("no such release", field=model, value=name, remedy=remedy)

    def history(self, model: str, alias: str) -> list[Move]:
        """Return the moves of an alias, oldest first."""
        return self._log.moves(model, alias)

    def point(self, model: str, alias: str, name: str, *, by: str, why: str) -> Move:
        """Point an alias at a release.

        Args:
            model: Name of the model.
            alias: Lower-case word.
            name: Version, alias or digest of the release.
            by: Who moves it.
            why: For the record.

        Raises:
            UsageError: If there is no such release, or a word is missing.
            StateMismatchError: If somebody else moved the alias at the same time; look, and decide again.
        """
        if not _ALIAS.match(alias):
            raise UsageError("not an alias", field="alias", value=alias, remedy="give a lower-case word")
        return self._move(model, alias, "set", self.find(model, name), by, why)

    def rollback(self, model: str, alias: str, *, by: str, why: str) -> Move:
        """Point an alias back at where it pointed before its last advance; again, one further back.

        Raises:
            UsageError: If it never pointed elsewhere, or the author has withdrawn that release.
            StateMismatchError: If somebody else moved the alias at the same time.
        """
        moves = self._log.moves(model, alias)
        trail = _trail(moves)
        if len(trail) < 2:  # noqa: PLR2004 - where it is, and where it was
            raise UsageError("nothing to go back to", field="alias", value=alias, remedy="point it at a release")
        return self._move(model, alias, "rollback", self.find(model, trail[-2]), by, why)

    def _move(self, model: str, alias: str, kind: Literal["set", "rollback"], item: Listed, by: str, why: str) -> Move:
        for field, words in (("by", by), ("why", why)):
            if not words.strip() or len(words) > MAX_WORDS_CHARS:
                raise UsageError("every move is for the record", field=field, value=words, remedy=f"say {field}")
        index = len(self._log.moves(model, alias))
        move = Move(
            model=model, alias=alias, index=index, kind=kind, digest=item.digest, by=by, why=why, at=self._clock()
        )
        self._log.append(move)
        return move


def _trail(moves: list[Move]) -> list[str]:
    """Return the digests that the alias has come through, its rollbacks undone; the last is where it points."""
    trail: list[str] = []
    for move in moves:
        if move.kind == "rollback":
            trail.pop()
        elif trail[-1:] != [move.digest]:
            trail.append(move.digest)
    return trail


def _is_short(name: str) -> bool:
    return len(name) >= 16 and all(c in "0123456789abcdef" for c in name)  # noqa: PLR2004 - 64 bits


def _check_next(moves: list[Move], move: Move) -> None:
    if move.index != len(moves):
        remedy = "look at its history, and decide again"
        raise StateMismatchError("somebody else moved the alias", field=move.alias, value=move.index, remedy=remedy)
