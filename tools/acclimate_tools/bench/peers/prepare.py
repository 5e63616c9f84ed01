"""From a CSV to a recording: the rows and the kinds of columns are those that ``acclimate replay`` would use.

A gap in a number becomes the last value of its column that came before (0 before any), since most peers take no gaps;
Acclimate itself gets the file and sees the gaps.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from acclimate_device.inputs import Inputs
from acclimate_device.replay import Row
from acclimate_device.replay_file import Request, checked, prepare
from acclimate_shared.errors import SourceError
from acclimate_tools.bench.peers.recording import Array, Facts, Recording


def record(path: Path, label: str, ignore: Sequence[str], rows: int, folder: Path) -> Recording:
    """Write the first rows of a file as a recording.

    Args:
        path: a CSV or JSON-lines file.
        label: its label column.
        ignore: columns that are no features.
        rows: most rows.
        folder: where the recording goes.

    Raises:
        UsageError, SourceError: as ``acclimate replay`` would.
    """
    prepared = prepare(Request(path=str(path), label=label, ignore=tuple(ignore), rows=rows))
    with closing(prepared.source):
        found = list(checked(prepared))
    if not found:
        raise SourceError("no row can be used", field="file", value=str(path), remedy="see acclimate replay")
    return _written(prepared.inputs, found, folder)


def _written(inputs: Inputs, rows: Sequence[Row], folder: Path) -> Recording:
    columns = inputs.encoder.columns
    coded = [column.name for column in columns if column.slots]
    codes, levels = _coded([row.parsed.texts for row in rows], len(coded))
    names: dict[str | float, int] = {}
    if inputs.task == "classification":
        targets = np.array([names.setdefault(row.label, len(names)) for row in rows])
    else:
        targets = np.array([float(row.label) for row in rows])
    facts = Facts(
        task=inputs.task,
        rows=len(rows),
        numbers=tuple(column.name for column in columns if column.kind == "number"),
        categories=tuple(coded),
        levels=levels,
        classes=tuple(map(str, names)),
    )
    numbers = np.array([row.parsed.numbers for row in rows], np.float64).reshape(len(rows), -1)
    return Recording.write(folder, facts, filled(numbers), codes, targets)


def _coded(rows: Iterable[Sequence[str | None]], columns: int) -> tuple[Array, tuple[tuple[str, ...], ...]]:
    """Return codes (rows, columns) in the order of first occurrence, -1 for a gap, and the texts of each column."""
    seen: list[dict[str, int]] = [{} for _ in range(columns)]
    codes = [
        [-1 if text is None else at.setdefault(text, len(at)) for text, at in zip(row, seen, strict=True)]
        for row in rows
    ]
    return np.array(codes, np.int32).reshape(len(codes), columns), tuple(tuple(one) for one in seen)


def filled(numbers: Array) -> Array:
    """Return numbers (rows, columns) with every NaN replaced by the last number above it, 0 where there is none.

    Example:
        >>> filled(np.array([[np.nan], [2.0], [np.nan]]))[:, 0].tolist()
        [0.0, 2.0, 2.0]
    """
    there = ~np.isnan(numbers)
    last = np.maximum.accumulate(np.where(there, np.arange(len(numbers))[:, None], -1), axis=0)
    out = np.take_along_axis(numbers, np.maximum(last, 0), axis=0)
    return np.where(last >= 0, np.nan_to_num(out), 0.0)
