"""The lines of the lineage in a state's file, by place; old commits are folded when they have become too many bytes.

Each is sealed to its place: a reason is what a person wrote, and may name columns and sources of labels. Places stay
what they are when a run is folded: its record takes the place of the last one in it. Nothing is folded that a hub still
has to hear of.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from acclimate_device import fleet_rows
from acclimate_shared.errors import CorruptStateError, StateError, StateMismatchError
from acclimate_shared.lineage_fold import Link, folded_line, runs
from acclimate_shared.lineage_record import decoded, opened

if TYPE_CHECKING:  # what seals takes memory: loaded where a state is kept
    from acclimate_device.vault import Vault

Execute = Callable[..., Any]
logger = logging.getLogger(__name__)

MOST_BYTES = 2**20  # of lines, beyond what could not be folded the last time
READ_LINES = 64  # lines in memory at a time
KEPT_RECORDS = 1_000  # the newest are never folded


def newest(execute: Execute) -> int:
    """Return the place of the newest line, 0 if there is none."""
    return int(execute("SELECT coalesce(max(place), 0) FROM lineage").fetchone()[0])


def upto(execute: Execute, vault: "Vault", place: int) -> bytes:
    """Return the lines up to a place, oldest first.

    Raises:
        CorruptStateError: one is damaged.
    """
    query = "SELECT place, line FROM lineage WHERE place <= ? ORDER BY place"
    return b"".join(_opened(vault, *row) for row in execute(query, [place]).fetchall())


def after(execute: Execute, vault: "Vault", place: int, most: int) -> list[tuple[int, bytes]]:
    """Return the next lines after a place, at most so many, with their places.

    Raises:
        CorruptStateError: one is damaged.
    """
    query = "SELECT place, line FROM lineage WHERE place > ? ORDER BY place LIMIT ?"
    return [(int(at), _opened(vault, at, line)) for at, line in execute(query, [place, most]).fetchall()]


def _opened(vault: "Vault", place: int, sealed: bytes) -> bytes:
    try:
        return vault.open(f"lineage/{place}", bytes(sealed))
    except CorruptStateError as exc:
        message = "a line of the lineage is damaged"
        raise CorruptStateError(message, field="lineage", remedy="restore a copy", row=place) from exc


def _sealed(vault: "Vault", place: int, line: bytes) -> bytes:
    return vault.seal(f"lineage/{place}", line)


def put(execute: Execute, vault: "Vault", lines: Sequence[bytes], place: int) -> None:
    """Put lines after a place; others that were there leave."""
    execute("DELETE FROM lineage WHERE place > ?", [place])
    for at, line in enumerate(lines, place + 1):
        execute("INSERT INTO lineage VALUES (?, ?)", [at, _sealed(vault, at, line)])


def reseal(execute: Execute, old: "Vault | None", new: "Vault") -> None:
    """Seal all lines anew, inside the transaction of a change of keys; ``old`` None: they have not been sealed yet."""
    for at, line in execute("SELECT place, line FROM lineage").fetchall():
        plain = _opened(old, at, line) if old else bytes(line)
        execute("UPDATE lineage SET line = ? WHERE place = ?", [_sealed(new, at, plain), at])


def size(execute: Execute) -> int:
    """Return the bytes of all lines."""
    return int(execute("SELECT coalesce(sum(length(line)), 0) FROM lineage").fetchone()[0])


def fold(execute: Execute, vault: "Vault", *, before: int, kept: int = KEPT_RECORDS) -> int:
    """Fold old commits, inside a transaction; return how many lines have gone.

    Args:
        execute: of the transaction.
        vault: of the state.
        before: a place; lines from there on stay as they are.
        kept: of the newest lines, which stay too.

    Raises:
        CorruptStateError: a line is damaged.
    """
    places, links = _links(execute, vault)
    end = max(min(len(places) - kept, sum(place < before for place in places)), 0)
    gone = 0
    for first, last in runs(links, end):
        low, high = places[first], places[last]
        records = [decoded(opened(line[:-1])) for _, line in after(execute, vault, low - 1, last - first + 1)]
        execute("UPDATE lineage SET line = ? WHERE place = ?", [_sealed(vault, high, folded_line(records)), high])
        execute("DELETE FROM lineage WHERE place >= ? AND place < ?", [low, high])
        gone += last - first
    if gone:
        logger.info("%d old commits of the lineage were folded into others", gone)
    return gone


def _links(execute: Execute, vault: "Vault") -> tuple[list[int], list[Link]]:
    """Return places and links of all lines, each checked, and none kept: a long lineage must not need memory.

    Raises:
        CorruptStateError: a line is damaged, or does not follow the one before it.
    """
    places, links, head, at = list[int](), list[Link](), "", 0
    while piece := after(execute, vault, at, READ_LINES):
        for place, line in piece:
            try:
                record = decoded(opened(line[:-1]))
            except StateMismatchError:
                raise
            except StateError as exc:
                raise CorruptStateError(exc.message, field=exc.field, remedy="restore a copy", row=place) from exc
            if record.previous != head:
                message = "a line of the lineage does not follow the one before it"
                raise CorruptStateError(message, field="previous", remedy="restore a copy", row=place)
            places.append(place)
            links.append(Link.of(record))
            head, at = record.digest, place
    return places, links


def tidy(home: fleet_rows.Home, before: int, floor: int) -> int:
    """Fold old commits, if the lines have become too many since the last time.

    Args:
        home: of the rows.
        before: the place up to which the checkpoint before the last one counts; it must find what it knew.
        floor: bytes that were left the last time.

    Returns:
        the bytes that are left now, ``floor`` if it was not time yet.

    Raises:
        StateError: the disk refuses; all lines are as they were.
    """
    with home.rows() as execute:
        if size(execute) <= floor + MOST_BYTES:
            return floor
        heard = fleet_rows.heard(execute, home.vault)
        fold(execute, home.vault, before=before if heard is None else min(before, heard))
        return size(execute)
