"""scikit-learn's ``partial_fit``, after a running ``StandardScaler``; targets are scaled too.

The model's name ends in the batch: ``sgd-1``, ``mlp-512``.
"""

import pickle  # only written, to measure its size
from collections.abc import Sequence
from typing import Any

import numpy as np

from acclimate_tools.bench.peers.recording import Array, Block, Facts
from acclimate_tools.bench.peers.scaling import Scaler

HIDDEN = (64, 64)


def _model(kind: str, facts: Facts, seed: int) -> Any:  # noqa: ANN401 (scikit-learn has no types)
    from sklearn.linear_model import SGDClassifier, SGDRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if facts.task == "classification":
        if kind == "sgd":
            return SGDClassifier(loss="log_loss", random_state=seed)
        return MLPClassifier(hidden_layer_sizes=HIDDEN, random_state=seed)
    if kind == "sgd":
        return SGDRegressor(random_state=seed)
    return MLPRegressor(hidden_layer_sizes=HIDDEN, random_state=seed)


class SklearnPeer:
    """One model; rows are (width,) float64, one-hot."""

    def __init__(self, model: str, facts: Facts, seed: int) -> None:
        """Start with nothing learned."""
        from sklearn.preprocessing import StandardScaler

        kind, batch = model.split("-")
        self.batch = int(batch)
        self._facts, self._fitted = facts, False
        self._model, self._scaler = _model(kind, facts, seed), StandardScaler()
        self._target, self._classes = Scaler(1), np.arange(len(facts.classes))

    def convert(self, block: Block) -> list[Array]:
        """Return each row as one array."""
        return list(block.one_hot(self._facts))

    def predict(self, rows: Sequence[Array]) -> list[float | None]:
        """Answer each row, once anything was learned."""
        if not self._fitted:
            return [None] * len(rows)
        found = self._model.predict(self._scaler.transform(np.stack(rows)))
        if self._facts.task == "regression":
            found = self._target.restored(found[:, None])[:, 0]
        answers: list[float | None] = found.tolist()
        return answers

    def learn(self, rows: Sequence[Array], targets: Array) -> None:
        """Take one step on the rows."""
        x = self._scaler.partial_fit(np.stack(rows)).transform(np.stack(rows))
        if self._facts.task == "classification":
            self._model.partial_fit(x, targets, classes=self._classes)
        else:
            self._target.learn(targets[:, None])
            self._model.partial_fit(x, self._target.scaled(targets[:, None])[:, 0])
        self._fitted = True

    def state_bytes(self) -> int:
        """Return the size of the pickled model and its scaler."""
        return len(pickle.dumps((self._model, self._scaler)))


def build(model: str, facts: Facts, seed: int) -> SklearnPeer:
    """Return a fresh peer."""
    return SklearnPeer(model, facts, seed)
