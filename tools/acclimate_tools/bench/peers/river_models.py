"""River's models, one event after the other, as its documentation shows them."""

import pickle  # only written, to measure its size
from collections.abc import Callable, Sequence
from typing import Any

from acclimate_tools.bench.peers.recording import Array, Block, Facts

ENSEMBLE = 10


def _logistic(seed: int) -> Any:  # noqa: ANN401 (River has no types)
    from river import linear_model, preprocessing

    del seed  # it starts from zeros
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def _logistic_of_many(seed: int) -> Any:  # noqa: ANN401
    from river import linear_model, multiclass, preprocessing

    del seed
    return preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression())


def _linear(seed: int) -> Any:  # noqa: ANN401
    from river import linear_model, preprocessing

    del seed
    model: Any = preprocessing.StandardScaler() | linear_model.LinearRegression()
    return preprocessing.TargetStandardScaler(regressor=model)


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


class RiverPeer:
    """One model; rows are dictionaries: categories as text for the classifying trees, one-hot for all others.

    River's regression trees have linear models in their leaves, which refuse text.
    """

    batch = 1

    def __init__(self, model: str, facts: Facts, seed: int) -> None:
        """Start with nothing learned."""
        many = model == "linear" and len(facts.classes) > 2  # noqa: PLR2004 (two classes need one model)
        self.model = (_logistic_of_many if many else MODELS[model, facts.task])(seed)
        self._facts, self._one_hot = facts, model == "linear" or facts.task == "regression"

    def convert(self, block: Block) -> list[dict[str, Any]]:
        """Return a dictionary of features for each row."""
        facts = self._facts
        rows: list[dict[str, Any]] = [
            dict(zip(facts.numbers, numbers, strict=True)) for numbers in block.numbers.tolist()
        ]
        for row, codes in zip(rows, block.codes.tolist(), strict=True):
            for name, levels, code in zip(facts.categories, facts.levels, codes, strict=True):
                if code >= 0:
                    row.update({f"{name}={levels[code]}": 1.0} if self._one_hot else {f"{name}=": levels[code]})
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
