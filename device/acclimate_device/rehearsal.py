"""Rehearsal: a few old rows are learned again at every commit, so that what no longer comes is not forgotten.

A learner that adapts forgets what it does not see (catastrophic forgetting, McCloskey and Cohen 1989); kept rows that
are learned again between the new ones hold it back (Chaudhry et al. 2019, arXiv 1902.10486). Rows of a class are a
uniform sample of all that were ever seen of it (reservoir sampling, Vitter 1985, algorithm R). Classes that have been
absent for ABSENT_LABELS are rehearsed by everyone; a few rows of all others only by members with a long memory: those
that follow the present lose by it.

The sample holds rows of data, bounded by number and bytes. Its generator is part of the state, so nothing is by chance.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROWS_PER_CLASS = 256
MOST_BYTES = 4 << 20  # of all rows
ABSENT_LABELS = 512  # without a label of the class


class Rehearsal:
    """A sample of every class, and when each was seen last."""

    def __init__(self, rows: int, seed: int) -> None:
        """Start with nothing seen.

        Args:
            rows: of absent classes learned again at a commit, at most, and a third as many of all others; 0 keeps
                nothing.
            seed: of the sampling.
        """
        self.rows = rows
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._kept: dict[int, list[Array]] = {}
        self._seen: dict[int, tuple[int, int]] = {}  # class to labels of it, and the label at which it came last
        self._labels = self._rehearsed = 0  # labels so far, and at the last rehearsal

    def due(self, micro_batch: int) -> bool:
        """Return whether most of a micro-batch was learned since the last rehearsal.

        Labels that were held end a micro-batch too: a flood of them must not set the pace of what is learned again.
        """
        return 2 * (self._labels - self._rehearsed) >= micro_batch

    def note(self, x: Array, y: Array, w: Array) -> None:
        """Take labelled rows: (rows, width) float64, (rows,) int64 classes, (rows,) float32 weights."""
        if not self.rows:
            return
        most = self._most(x.shape[1])
        for row, label, weight in zip(x, y.tolist(), w.tolist(), strict=True):
            self._labels += 1
            if weight <= 0.0:
                continue
            if label not in self._seen:
                self._kept[label] = []
                most = self._most(x.shape[1])
                for rows in self._kept.values():
                    del rows[most:]
            count = self._seen.get(label, (0, 0))[0] + 1
            self._seen[label] = count, self._labels
            kept = self._kept[label]
            at = len(kept) if len(kept) < most else int(self._random.integers(count))
            if at < most:
                kept[at : at + 1] = [row.copy()]

    def _most(self, width: int) -> int:
        """Return how many rows of each class there is room for."""
        return max(1, min(ROWS_PER_CLASS, MOST_BYTES // (8 * width * max(1, len(self._kept)))))

    def absent(self) -> tuple[Array, Array] | None:
        """Return rows of absent classes, (rows, width) and (rows,), as many of each; None if no class is absent."""
        self._rehearsed = self._labels
        gone = [label for label, (_, last) in self._seen.items() if self._labels - last >= ABSENT_LABELS]
        return self._rows_of(gone, self.rows)

    def present(self) -> tuple[Array, Array] | None:
        """Return rows of the classes that come; as ``absent``."""
        here = [label for label, (_, last) in self._seen.items() if self._labels - last < ABSENT_LABELS]
        return self._rows_of(here, self.rows // 3)

    def _rows_of(self, labels: list[int], most: int) -> tuple[Array, Array] | None:
        if not labels or not most:
            return None
        share = max(1, most // len(labels))
        picked = [(label, row) for label in labels for row in self._some(self._kept[label], share)][:most]
        order = self._random.permutation(len(picked))
        return np.stack([picked[i][1] for i in order]), np.array([picked[i][0] for i in order], np.int64)

    def _some(self, rows: list[Array], share: int) -> list[Array]:
        order = self._random.permutation(len(rows))[:share]
        return [rows[i] for i in order]

    # -- state --------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Array]:
        """Return the rows by class."""
        return {f"{label}/x": np.stack(rows) for label, rows in self._kept.items() if rows}

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        seen = [[label, count, last] for label, (count, last) in self._seen.items()]
        whole: Any = self._random.bit_generator.state
        generator = [*whole["state"].values(), whole["has_uint32"], whole["uinteger"]]
        return [self._labels, seen, [str(number) for number in generator], self._rehearsed]

    def restore(self, tensors: Mapping[str, Array], document: Any) -> None:  # noqa: ANN401
        """Take back what ``tensors`` and ``document`` returned."""
        self._labels, seen, numbers, *rest = document  # older states do not tell when they rehearsed last
        self._rehearsed = rest[0] if rest else self._labels
        self._seen = {label: (count, last) for label, count, last in seen}
        self._kept = {label: list(np.array(tensors.get(f"{label}/x", ()))) for label in self._seen}
        state, inc, has, spare = (int(number) for number in numbers)
        whole: Any = self._random.bit_generator.state
        whole |= {"state": {"state": state, "inc": inc}, "has_uint32": has, "uinteger": spare}
        self._random.bit_generator.state = whole
