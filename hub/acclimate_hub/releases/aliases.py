"""Words for releases, such as ``stable``, with all that they have ever meant; going back is one call.

An alias is a row for every move (`store.releases`): nothing that it has meant is forgotten. The way back follows the
trail of its moves, in which a return to the release before takes the last step away.

Example:
    >>> trail(["a", "b", "b", "c", "b"])
    ['a', 'b']
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from acclimate_hub.store import audit, releases, tables
from acclimate_shared.errors import ConflictError, MissingError, UsageError

NAME = r"^[a-z][a-z0-9\-]{0,31}$"
SHORTEST = 12  # digits of a digest that name a release
_DIGITS = re.compile(rf"[0-9a-f]{{{SHORTEST},64}}")
_LEAST = 2  # steps of a trail with a way back: where it is, and where it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who decides about an alias, why and when.

    Attributes:
        seen: number of the move that the decision rests on; None for whichever is the newest.
        now_s: seconds since 1970.
    """

    actor: str
    why: str
    seen: int | None
    now_s: float


def trail(meant: Sequence[str]) -> list[str]:
    """Return the releases that an alias has come through, ways back undone; the last is what it means.

    Args:
        meant: digests, oldest first.
    """
    found: list[str] = []
    for digest in meant:
        if found[-2:-1] == [digest]:
            found.pop()
        elif found[-1:] != [digest]:
            found.append(digest)
    return found


def release_of(connection: Connection, tenant: str, words: str) -> Row[Any]:
    """Return the release that a digest (12 digits or more), ``MODEL:VERSION`` or an alias names.

    Raises:
        MissingError: there is none, or more than one.
        ConflictError: its author has withdrawn it.
    """
    columns, query = tables.releases.c, releases.listed(tenant)
    model, colon, version = words.rpartition(":")
    if colon:
        query = query.where(columns.name == model, columns.version == version)
    elif _DIGITS.fullmatch(words):
        query = query.where(columns.digest.startswith(words, autoescape=True))
    else:
        moves = releases.alias_history(connection, tenant, words)
        query = query.where(columns.digest == (moves[0].release if moves else ""))
    found = connection.execute(query.limit(2)).all()
    if len(found) != 1:
        remedy = "give a digest, MODEL:VERSION or an alias; acclimate-hub release list shows them"
        raise MissingError("there is no such release", field="release", value=words, remedy=remedy)
    if found[0].withdrawn_s is not None:
        raise ConflictError("its author has withdrawn the release", field="release", value=words)
    return found[0]


def point(connection: Connection, tenant: str, alias: str, words: str, decision: Decision) -> Row[Any]:
    """Let an alias mean a release; return its newest move.

    Args:
        connection: of a ``write``.
        tenant: whose.
        alias: a word, new perhaps.
        words: see ``release_of``.
        decision: goes into the audit log.

    Raises:
        UsageError: that is no word for an alias.
        MissingError: there is no such release.
        ConflictError: its author has withdrawn it, or the alias was moved meanwhile.
    """
    if not re.fullmatch(NAME, alias) or _DIGITS.fullmatch(alias):
        raise UsageError("not an alias", field="alias", value=alias, remedy="give a word such as stable")
    return _moved(connection, tenant, alias, release_of(connection, tenant, words).digest, "alias.point", decision)


def roll_back(connection: Connection, tenant: str, alias: str, decision: Decision) -> Row[Any]:
    """Let an alias mean what it meant before its last advance; again, one further back. Arguments as ``point``.

    Raises:
        MissingError: there is no such alias.
        ConflictError: it never meant another one, its author has withdrawn that, or the alias was moved meanwhile.
    """
    moves = history(connection, tenant, alias)
    steps = trail([move.release for move in reversed(moves)])
    if len(steps) < _LEAST:
        raise ConflictError("nothing to go back to", field="alias", value=alias, remedy="point it at a release")
    before = release_of(connection, tenant, steps[-2]).digest
    return _moved(connection, tenant, alias, before, "alias.roll-back", decision)


def history(connection: Connection, tenant: str, alias: str) -> list[Row[Any]]:
    """Return the moves of an alias, newest first.

    Raises:
        MissingError: there is no such alias.
    """
    found = releases.alias_history(connection, tenant, alias)
    if not found:
        raise MissingError("there is no such alias", field="alias", value=alias, remedy="point it at a release")
    return found


def _moved(connection: Connection, tenant: str, alias: str, digest: str, action: str, decision: Decision) -> Row[Any]:
    moves = releases.alias_history(connection, tenant, alias)
    newest = moves[0].row_version if moves else 0
    seen = newest if decision.seen is None else decision.seen
    releases.point_alias(connection, tenant, alias, digest, seen=seen, actor=decision.actor, now_s=decision.now_s)
    detail = {"release": digest, "why": decision.why}
    act = audit.Act(actor=decision.actor, action=action, object=alias, detail=detail)
    audit.record(connection, tenant, act, decision.now_s)
    return history(connection, tenant, alias)[0]
