"""What the second format of a state kept in the clear, read once when it is taken over."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TABLES = ("meta", "document", "tensor", "checkpoint", "lineage")


@dataclass(frozen=True, slots=True)
class Plain:
    """Everything a folder of format 2 held."""

    saved: tuple[dict[str, Array], dict[str, Any]] | None
    binding: dict[str, Any]
    lineage: list[bytes]


def take(execute: Callable[[str], Iterable[Any]], format_now: int) -> Plain:
    """Read everything and drop its tables, in the caller's transaction.

    Args:
        execute: runs a statement and returns its rows.
        format_now: goes into a binding that names the format.
    """
    documents = {name: json.loads(value) for name, value in execute("SELECT name, value FROM document")}
    query = "SELECT c.name, t.dtype, t.shape, t.data FROM checkpoint c JOIN tensor t USING (digest)"
    tensors = {
        name: np.frombuffer(data, np.dtype(dtype)).reshape(json.loads(shape))
        for name, dtype, shape, data in execute(query)
    }
    lineage = [bytes(row[0]) for row in execute("SELECT line FROM lineage ORDER BY place")]
    binding = {}
    for (text,) in execute("SELECT value FROM meta WHERE name = 'binding'"):
        binding = json.loads(text)
    if "state_format" in binding:
        binding["state_format"] = format_now
    for table in TABLES:
        execute(f"DROP TABLE {table}")
    return Plain((tensors, documents) if documents else None, binding, lineage)
