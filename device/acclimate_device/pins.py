"""Which checkpoints of a state stay: the last ones, and those that were pinned to be gone back to. Rows alone."""

from collections.abc import Callable, Sequence
from typing import Any

Execute = Callable[..., Any]

GENERATIONS = 2  # checkpoints that are kept anyway
MOST_PINS = 8  # and kept for long
_ORPHANS = "DELETE FROM tensor WHERE digest NOT IN (SELECT digest FROM part)"


def pin(execute: Execute) -> None:
    """Keep the last checkpoint for long; of more than MOST_PINS the first stays, and the last ones."""
    execute("INSERT OR IGNORE INTO pin SELECT max(generation) FROM checkpoint HAVING count(*) > 0")
    over = max(0, len(pinned(execute)) - MOST_PINS)
    crowded_out = "SELECT generation FROM pin ORDER BY generation LIMIT ? OFFSET 1"
    execute(f"DELETE FROM pin WHERE generation IN ({crowded_out})", [over])  # noqa: S608 (our own words)


def pinned(execute: Execute) -> list[int]:
    """Return the pinned generations, the first one first."""
    return [row[0] for row in execute("SELECT generation FROM pin ORDER BY generation").fetchall()]


def prune(execute: Execute, newest: int) -> None:
    """Let go of what is neither among the last checkpoints nor pinned."""
    kept = "generation > ? OR generation IN (SELECT generation FROM pin)"
    for table in ("checkpoint", "part"):
        execute(f"DELETE FROM {table} WHERE NOT ({kept})", [newest - GENERATIONS])  # noqa: S608 (our own names)
    execute(_ORPHANS)


def drop(execute: Execute, generations: Sequence[int]) -> None:
    """Let go of checkpoints before their time."""
    for generation in generations:
        for table in ("checkpoint", "part", "pin"):
            execute(f"DELETE FROM {table} WHERE generation = ?", [generation])  # noqa: S608 (our own names)
    execute(_ORPHANS)


def clear(execute: Execute) -> None:
    """Let go of all checkpoints."""
    for table in ("checkpoint", "part", "tensor", "pin"):
        execute(f"DELETE FROM {table}")  # noqa: S608 (our own names)
