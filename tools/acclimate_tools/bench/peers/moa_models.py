"""MOA's models through CapyMOA, one event after the other; ensembles of ten, everything else as CapyMOA sets it.

An instance is asked without its label, which is set when it arrives. ``SAMkNN`` and ``KNNRegressor`` see standardised
inputs, since distances need a scale and they bring none.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from acclimate_tools.bench.peers.recording import Array, Block, Facts
from acclimate_tools.bench.peers.scaling import Scaler

ENSEMBLE = 10

#: Model and task: CapyMOA's name, and what differs from its defaults.
MODELS: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("ht", "classification"): ("HoeffdingTree", {}),
    ("arf", "classification"): ("AdaptiveRandomForestClassifier", {"ensemble_size": ENSEMBLE}),
    ("srp", "classification"): ("StreamingRandomPatches", {"ensemble_size": ENSEMBLE}),
    ("levbag", "classification"): ("LeveragingBagging", {"ensemble_size": ENSEMBLE}),
    ("knn", "classification"): ("SAMkNN", {}),
    ("ht", "regression"): ("FIMTDD", {}),
    ("arf", "regression"): ("AdaptiveRandomForestRegressor", {"ensemble_size": ENSEMBLE}),
    ("soknl", "regression"): ("SOKNL", {"ensemble_size": ENSEMBLE}),
    ("sgbr", "regression"): ("StreamingGradientBoostedRegression", {}),
    ("knn", "regression"): ("KNNRegressor", {}),
}


def _schema(facts: Facts) -> Any:  # noqa: ANN401 (CapyMOA's)
    from capymoa.stream import Schema

    numbers = [f"n{at}" for at in range(len(facts.numbers))]
    nominal = {f"c{at}": [f"v{code}" for code in range(len(levels))] for at, levels in enumerate(facts.levels)}
    if facts.task == "classification":
        nominal["label"] = [f"v{index}" for index in range(len(facts.classes))]
    features = [*numbers, *(f"c{at}" for at in range(len(facts.levels))), "label"]
    return Schema.from_custom(features=features, target="label", categories=nominal)


def _learner(model: str, facts: Facts, schema: Any, seed: int) -> Any:  # noqa: ANN401
    import capymoa.classifier
    import capymoa.regressor

    name, options = MODELS[model, facts.task]
    module = capymoa.classifier if facts.task == "classification" else capymoa.regressor
    make: Callable[..., Any] = getattr(module, name)
    return make(schema=schema, random_seed=seed + 1, **options)


class MoaPeer:
    """One learner; rows are CapyMOA's instances, or arrays where they have to be scaled first."""

    batch = 1

    def __init__(self, model: str, facts: Facts, seed: int) -> None:
        """Start with nothing learned, and a Java machine."""
        from capymoa.core import Instance

        self._new = Instance.from_array
        self._facts, self._schema = facts, _schema(facts)
        self._learner = _learner(model, facts, self._schema, seed)
        self._scaler = Scaler(len(facts.numbers)) if model == "knn" else None

    def _instance(self, x: Array) -> Any:  # noqa: ANN401
        instance = self._new(self._schema, x)
        _ = instance.java_instance  # it is made when it is asked for
        return instance

    def convert(self, block: Block) -> list[Any]:
        """Return an instance for each row; a missing category is missing for MOA too."""
        codes = np.where(block.codes < 0, np.nan, block.codes)
        rows = np.hstack([block.numbers, codes])
        return list(rows) if self._scaler else [self._instance(row) for row in rows]

    def _scaled(self, row: Array) -> Any:  # noqa: ANN401
        if self._scaler is None:
            return row
        count = len(self._facts.numbers)
        return self._instance(np.concatenate([self._scaler.scaled(row[None, :count])[0], row[count:]]))

    def predict(self, rows: Sequence[Any]) -> list[float | None]:
        """Answer each row; None where there are no votes, or none that are numbers."""
        return [self._answer(self._scaled(row)) for row in rows]

    def _answer(self, instance: Any) -> float | None:  # noqa: ANN401
        votes = np.array(self._learner.moa_learner.getVotesForInstance(instance.java_instance))
        if self._facts.task == "regression":
            return float(votes[0]) if len(votes) else None
        total = votes.sum()
        return float(votes.argmax()) if np.isfinite(total) and total > 0 else None

    def learn(self, rows: Sequence[Any], targets: Array) -> None:
        """Learn each row."""
        for row, target in zip(rows, targets.tolist(), strict=True):
            if self._scaler is not None:
                self._scaler.learn(row[None, : len(self._facts.numbers)])
            instance = self._scaled(row)
            instance.java_instance.getData().setClassValue(float(target))
            self._learner.train(instance)

    def state_bytes(self) -> int | None:
        """Return the size of the learner as Java serialises it; None for those that cannot be serialised."""
        from jpype import JClass

        out = JClass("java.io.ByteArrayOutputStream")()
        writer = JClass("java.io.ObjectOutputStream")(out)
        try:
            writer.writeObject(self._learner.moa_learner)
        except JClass("java.io.NotSerializableException"):
            return None
        writer.close()
        return int(out.size())


def build(model: str, facts: Facts, seed: int) -> MoaPeer:
    """Return a fresh peer."""
    return MoaPeer(model, facts, seed)
