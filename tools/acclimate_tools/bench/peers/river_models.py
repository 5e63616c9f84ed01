"""River's models, one event after the other, as its documentation shows them."""

import pickle  # only written, to measure its size
from collections.abc import Callable, Sequence
from typing import Any

from acclimate_tools.bench.peers.recording import Array, Block, Facts

ENSEMBLE = 10


def _logistic(seed: int) -> Any:  # noqa: ANN401 (River has no types)
    from river import linear_model

    del seed  # it starts from zeros
    return linear_model.LogisticRegression()


def _linear(seed: int) -> Any:  # noqa: ANN401
    from river import linear_model

    del seed
    return linear_model.LinearRegression()


def _hat(seed: int) -> Any:  # noqa: ANN401
    from river import tree

    return tree.HoeffdingAdaptiveTreeClassifier(seed=seed)


def _hat_regressor(seed: int) -> Any:  # noqa: ANN401
    from river import tree

    return tree.HoeffdingAdaptiveTreeRegressor(seed=seed)


def _arf(seed: int) -> Any:  # noqa: ANN401
    from river import forest

    return forest.ARFClassifier(n_models=ENSEMBLE, seed=seed)


def _arf_regressor(seed: int) -> Any:  # noqa: ANN401
    from river import forest

    return forest.ARFRegressor(n_models=ENSEMBLE, seed=seed)


def _srp(seed: int) -> Any:  # noqa: ANN401
    from river import ensemble

    return ensemble.SRPClassifier(n_models=ENSEMBLE, seed=seed)


def _srp_regressor(seed: int) -> Any:  # noqa: ANN401
    from river import ensemble

    return ensemble.SRPRegressor(n_models=ENSEMBLE, seed=seed)


MODELS: dict[tuple[str, str], Callable[[int], Any]] = {
    ("linear", "classification"): _logistic,
    ("linear", "regression"): _linear,
    ("hat", "classification"): _hat,
    ("hat", "regression"): _hat_regressor,
    ("arf", "classification"): _arf,
    ("arf", "regression"): _arf_regressor,
    ("srp", "classification"): _srp,
    ("srp", "regression"): _srp_regressor,
}


def _inputs(model: Any, *, scaled: bool, categories: bool) -> Any:  # noqa: ANN401
    """Put before a model what it needs: numbers standardised, categories one-hot; nothing where it needs nothing."""
    from river import compose, preprocessing

    if not categories:
        return preprocessing.StandardScaler() | model if scaled else model
    numbers: Any = compose.SelectType(float)
    coded = compose.SelectType(str) | preprocessing.OneHotEncoder()
    return ((numbers | preprocessing.StandardScaler() if scaled else numbers) + coded) | model


def _made(name: str, facts: Facts, seed: int) -> Any:  # noqa: ANN401
    from river import multiclass, preprocessing

    model: Any = MODELS[name, facts.task](seed)
    linear, values = name == "linear", facts.task == "regression"
    if linear and len(facts.classes) > 2:  # noqa: PLR2004 (two classes need one model)
        model = multiclass.OneVsRestClassifier(model)
    # The classifying trees take everything as it is; River's regression trees have linear models in their leaves.
    prepared = linear or values
    model = _inputs(model, scaled=prepared, categories=bool(facts.categories) and prepared)
    return preprocessing.TargetStandardScaler(regressor=model) if linear and values else model


class RiverPeer:
    """One model; rows are dictionaries of numbers and texts."""

    batch = 1

    def __init__(self, model: str, facts: Facts, seed: int) -> None:
        """Start with nothing learned."""
        self.model, self._facts = _made(model, facts, seed), facts

    def convert(self, block: Block) -> list[dict[str, Any]]:
        """Return a dictionary of features for each row."""
        facts = self._facts
        rows: list[dict[str, Any]] = [
            dict(zip(facts.numbers, numbers, strict=True)) for numbers in block.numbers.tolist()
        ]
        for row, codes in zip(rows, block.codes.tolist(), strict=True):
            for name, levels, code in zip(facts.categories, facts.levels, codes, strict=True):
                if code >= 0:
                    row[f"{name}="] = levels[code]  # a column may have both a number and levels
        return rows

    def predict(self, rows: Sequence[dict[str, Any]]) -> list[float | None]:
        """Answer each row."""
        return [self.model.predict_one(row) for row in rows]

    def learn(self, rows: Sequence[dict[str, Any]], targets: Array) -> None:
        """Learn each row."""
        for row, target in zip(rows, targets.tolist(), strict=True):
            self.model.learn_one(row, target)

    def state_bytes(self) -> int:
        """Return the size of the pickled model."""
        return len(pickle.dumps(self.model))


def build(model: str, facts: Facts, seed: int) -> RiverPeer:
    """Return a fresh peer."""
    return RiverPeer(model, facts, seed)
