"""Vowpal Wabbit through its Python package; examples are parsed outside the clock, as all rows are.

Classes are learned one against all with the logistic loss, values with VW's default squared loss; its own adaptive,
normalised steps stay as they are.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acclimate_tools.bench.peers.recording import Array, Block, Facts

OPTIONS = {"linear": "", "quadratic": "-q ::", "nn": "--nn 20"}


class VwPeer:
    """One workspace; rows are VW's examples."""

    batch = 1

    def __init__(self, model: str, facts: Facts, seed: int) -> None:
        """Start with nothing learned."""
        from vowpalwabbit import Workspace

        self._classes, self._learned = len(facts.classes), False
        head = f"--oaa {max(self._classes, 2)} --loss_function logistic" if self._classes else ""
        self._workspace = Workspace(f"{head} {OPTIONS[model]} --quiet --random_seed {seed + 1}")

    def convert(self, block: Block) -> list[Any]:
        """Return an example for each row."""
        rows = []
        for numbers, codes in zip(block.numbers.tolist(), block.codes.tolist(), strict=True):
            features = [f"n{at}:{value:.9g}" for at, value in enumerate(numbers)]
            features += [f"c{at}_{code}" for at, code in enumerate(codes) if code >= 0]
            rows.append(self._workspace.parse(f"|f {' '.join(features)}"))
        return rows

    def predict(self, rows: Sequence[Any]) -> list[float | None]:
        """Answer each row, once anything was learned."""
        if not self._learned:
            return [None] * len(rows)
        found = [self._workspace.predict(row) for row in rows]
        return [value - 1 for value in found] if self._classes else found

    def learn(self, rows: Sequence[Any], targets: Array) -> None:
        """Learn each row, and let it go."""
        for row, target in zip(rows, targets.tolist(), strict=True):
            row.set_label_string(str(target + 1) if self._classes else f"{target:.9g}")
            row.set_test_only(False)  # it was parsed without a label
            self._workspace.learn(row)
            self._workspace.finish_example(row)
        self._learned = True

    def state_bytes(self) -> int:
        """Return the size of the saved model."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.vw"
            self._workspace.save(str(path))
            return path.stat().st_size


def build(model: str, facts: Facts, seed: int) -> VwPeer:
    """Return a fresh peer."""
    return VwPeer(model, facts, seed)
