"""A stream in the form that every peer can read: plain arrays in files, read block by block.

Numbers are float64 with gaps already filled, categories are codes, a label is the index of its class or a value. A
block is read when it is due, so that the memory of a cell is that of its peer and not that of the stream.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Task = Literal["classification", "regression"]
BLOCK_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a peer is told before the first row.

    Attributes:
        task: of the stream.
        rows: of the recording.
        numbers: names of the columns of numbers.
        categories: names of the columns of categories.
        levels: the texts of each column of categories, in the order of their codes.
        classes: names of the classes, in the order of their indices; empty for a regression.
    """

    task: Task
    rows: int
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many numbers a row is once its categories are one-hot."""
        return len(self.numbers) + sum(map(len, self.levels))


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows.

    Attributes:
        numbers: (rows, numbers) float64, finite.
        codes: (rows, categories) int32, -1 where the category is missing.
    """

    numbers: Array
    codes: Array

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.numbers)

    def one_hot(self, facts: Facts) -> Array:
        """Return (rows, width) float64: the numbers, then a 0/1 column for each level of each category."""
        out = np.zeros((len(self), facts.width))
        out[:, : len(facts.numbers)] = self.numbers
        at = len(facts.numbers)
        for column, levels in enumerate(facts.levels):
            there = np.flatnonzero(self.codes[:, column] >= 0)
            out[there, at + self.codes[there, column]] = 1.0
            at += len(levels)
        return out


class Recording:
    """A stream on the disk: ``facts.json`` and three arrays."""

    def __init__(self, folder: Path) -> None:
        """Open what ``write`` has written.

        Raises:
            FileNotFoundError: there is no recording.
        """
        self.folder = folder
        said = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        levels = tuple(tuple(one) for one in said.pop("levels"))
        task, rows = said.pop("task"), said.pop("rows")
        names = {key: tuple(value) for key, value in said.items()}
        self.facts = Facts(task=task, rows=rows, levels=levels, **names)

    @classmethod
    def write(cls, folder: Path, facts: Facts, numbers: Array, codes: Array, targets: Array) -> "Recording":
        """Write a recording: (rows, numbers), (rows, categories), and (rows,) class indices or values."""
        folder.mkdir(parents=True, exist_ok=True)
        numbers.astype(np.float64).tofile(folder / "numbers.f64")
        codes.astype(np.int32).tofile(folder / "codes.i32")
        targets.astype(np.float64).tofile(folder / "targets.f64")
        (folder / "facts.json").write_text(json.dumps(asdict(facts)), encoding="utf-8")
        return cls(folder)

    def blocks(self) -> Iterator[Block]:
        """Read the rows, BLOCK_ROWS at a time."""
        facts = self.facts
        with (self.folder / "numbers.f64").open("rb") as numbers, (self.folder / "codes.i32").open("rb") as codes:
            for at in range(0, facts.rows, BLOCK_ROWS):
                count = min(BLOCK_ROWS, facts.rows - at)
                read = np.fromfile(numbers, np.float64, count * len(facts.numbers))
                coded = np.fromfile(codes, np.int32, count * len(facts.categories))
                yield Block(
                    read.reshape(count, len(facts.numbers)),
                    coded.reshape(count, len(facts.categories)),
                )

    def targets(self) -> Array:
        """Return (rows,): int64 class indices, or float64 values."""
        found = np.fromfile(self.folder / "targets.f64", np.float64)
        return found.astype(np.int64) if self.facts.task == "classification" else found


def with_last_label(facts: Facts, blocks: Iterable[Block], targets: Array, delay: int) -> tuple[Facts, Iterator[Block]]:
    """Give every row the label that had arrived last, as one more category or number.

    Row t gets the label of row t - 1 - delay: what anybody knows when it is to be predicted. Until the first label has
    arrived, the category is missing and the number 0.
    """
    name = "last label"
    if facts.task == "classification":
        facts = replace(facts, categories=(*facts.categories, name), levels=(*facts.levels, facts.classes))
    else:
        facts = replace(facts, numbers=(*facts.numbers, name))
    nothing = -1.0 if facts.task == "classification" else 0.0
    last = np.concatenate([np.full(min(1 + delay, len(targets)), nothing), targets[: max(len(targets) - 1 - delay, 0)]])
    return facts, _widened(facts.task, blocks, last)


def _widened(task: Task, blocks: Iterable[Block], last: Array) -> Iterator[Block]:
    at = 0
    for block in blocks:
        column = last[at : at + len(block), None]
        at += len(block)
        if task == "classification":
            yield Block(block.numbers, np.hstack([block.codes, column.astype(np.int32)]))
        else:
            yield Block(np.hstack([block.numbers, column]), block.codes)
