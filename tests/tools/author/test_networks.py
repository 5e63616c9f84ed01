"""Any torch module: every kind passes the gate, learns a task, and equals torch.optim step by step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from onnx import load_from_string
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from acclimate_device.executor import Learner
from acclimate_shared.errors import UsageError
from acclimate_shared.learner import LearnerPackage
from acclimate_tools.author import parity, reservoir
from acclimate_tools.author.networks import Network
from acclimate_tools.author.optimisers import Optimiser, clipped
from acclimate_tools.author.package import package_of
from acclimate_tools.author.spec import Residual

FAST = Optimiser(kind="adam", rate=0.01)


class Embedded(nn.Module):
    """A category in column 0, numbers in the others."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(5, 4), nn.Sequential(nn.Linear(9, 24), nn.ReLU(), nn.Linear(24, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([self.table(x[:, 0].to(torch.int64)), x[:, 1:]], 1))  # type: ignore[no-any-return]


def mlp(outputs: int, features: int = 6) -> nn.Module:
    return nn.Sequential(nn.Linear(features, 24), nn.ReLU(), nn.Linear(24, outputs))


def network(module: nn.Module, features: int = 6, **options: Any) -> Network:
    classes = 0 if options.get("task") == "regression" else 3
    merged: dict[str, Any] = {
        "name": "n",
        "task": "classification",
        "features": features,
        "classes": classes,
        "optimiser": FAST,
    } | options
    return Network(module=module, **merged)


def conv() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (2, 8)), nn.Conv1d(2, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)
    )


MAKERS: dict[str, Callable[[], Network]] = {
    "softmax-sgd": lambda: network(nn.Linear(6, 3), optimiser=Optimiser(kind="sgd", rate=0.2)),
    "mlp-momentum": lambda: network(mlp(3), optimiser=Optimiser(kind="momentum", rate=0.05)),
    "mlp-adam-clip": lambda: network(mlp(3), clip_norm=0.5),
    "mlp-adamw": lambda: network(mlp(3), optimiser=Optimiser(kind="adamw", rate=0.01, weight_decay=0.01)),
    "residual-layernorm": lambda: network(nn.Sequential(nn.Linear(6, 16), Residual(16), nn.Linear(16, 3))),
    "conv1d": lambda: network(conv(), features=16),
    "embedding": lambda: network(Embedded(), categories={0: 5}),
    "regression-head": lambda: network(mlp(1), task="regression", optimiser=Optimiser(kind="adam", rate=0.02)),
    "replay": lambda: network(mlp(3), replay_size=64, replay_rows=16),
    "ewc": lambda: network(mlp(3), ewc=1e-3),
    "frozen-backbone": lambda: network(mlp(3), frozen=("0.",)),
    "balanced-flags": lambda: network(mlp(3, features=12), class_balanced=True, flag_missing=True),
}


@pytest.fixture(scope="module", params=MAKERS)
def made(request: pytest.FixtureRequest) -> tuple[Network, LearnerPackage]:
    torch.manual_seed(0)
    net = MAKERS[request.param]()
    return net, package_of(net.source())


def task_batch(net: Network, rng: np.random.Generator, rows: int = 32) -> tuple[Any, Any]:
    """A task that its inputs decide: the sign of sums, the code of the category."""
    x = rng.standard_normal((rows, net.features)) * 2.0 + 5.0
    if net.categories:
        x[:, 0] = rng.integers(0, 5, rows)
        return x, (x[:, 0] % 3).astype(np.int64)
    score = (x[:, 0] - 5.0) + (x[:, 1] - 5.0)
    return x, (score * 10.0 if net.task == "regression" else np.digitize(score, [-1.0, 1.0]))


def learned(net: Network, package: LearnerPackage, seed: int, **hyper: float) -> tuple[float, float]:
    """Return the error over the last third of a run, and that of the trivial answer."""
    rng = np.random.default_rng(seed)
    learner = Learner(package)
    state, errors, targets = learner.init_state({}, seed), [], []
    for _ in range(150):
        x, y = task_batch(net, rng)
        state, before, _ = learner.update(state, x, y, np.ones(32, np.float32), learner.hyper(**hyper))
        wrong = np.abs(before - y) if net.task == "regression" else before.argmax(1) != y
        errors.append(wrong.mean())
        targets.append(y)
    last = np.concatenate(targets[100:])
    trivial = np.abs(last).mean() if net.task == "regression" else 1 - np.bincount(last).max() / len(last)
    return float(np.mean(errors[100:])), float(trivial)


def passes(net: Network, error: float, trivial: float) -> bool:
    return error < 0.5 * trivial if net.task == "regression" else error < trivial - 0.1


def test_it_passes_the_gate(made: tuple[Network, LearnerPackage]) -> None:
    net, package = made
    found = parity.check(net.source(), package, steps=30)
    assert found.worst <= parity.STEP_BOUND


@pytest.mark.long
def test_it_passes_the_whole_gate(made: tuple[Network, LearnerPackage]) -> None:
    net, package = made
    parity.check(net.source(), package)


@pytest.mark.parametrize("seed", [11, 12])
def test_it_learns_on_seeds_it_was_not_tuned_on(made: tuple[Network, LearnerPackage], seed: int) -> None:
    net, package = made
    assert passes(net, *learned(net, package, seed))


def test_with_rate_0_it_does_not(made: tuple[Network, LearnerPackage]) -> None:
    net, package = made
    assert not passes(net, *learned(net, package, 11, rate=0.0))


def test_an_independent_evaluator_agrees(made: tuple[Network, LearnerPackage]) -> None:
    net, package = made
    rng = np.random.default_rng(1)
    learner = Learner(package)
    state = learner.init_state({}, 0)
    x, y = task_batch(net, rng, rows=8)
    w = np.ones(8, np.float32)
    reference = ReferenceEvaluator(load_from_string(package.update))
    feed = {**state, "x": x, "y": y, "w": w, "hyper": learner.hyper()}
    with np.errstate(all="ignore"):
        found = reference.run(None, {name: feed[name] for name in reference.input_names})
    after, _, _ = learner.update(state, x, y, w, learner.hyper())
    for name, array in dict(zip(reference.output_names, found, strict=True)).items():
        if name.endswith("__next"):
            assert parity.difference(array, after[name.removesuffix("__next")]) <= 1e-5, name


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_optimisers_equal_torch_optim(kind: Any, decay: float) -> None:
    rng = torch.Generator().manual_seed(0)
    ours = Optimiser(kind=kind, rate=0.03, weight_decay=decay)
    flat = torch.randn(12, generator=rng)
    theirs = flat.clone().requires_grad_()
    classes: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.03, weight_decay=decay),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9, weight_decay=decay),
        "adam": lambda p: torch.optim.Adam(p, lr=0.03, weight_decay=decay),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=decay),
    }
    optimiser = classes[kind]([theirs])
    state = {spec.name: torch.zeros(spec.resolve({})) for spec in ours.state(12)}
    for _ in range(20):
        gradient = torch.randn(12, generator=rng)
        theirs.grad = gradient.clone()
        optimiser.step()
        flat, state = ours.step(state, flat, gradient, torch.tensor(0.03))
    torch.testing.assert_close(flat, theirs.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [0.1, 10.0])
def test_clipping_equals_torch(size: float) -> None:
    parameter = torch.zeros(5, requires_grad=True)
    parameter.grad = torch.arange(5.0) * size
    ours = clipped(parameter.grad.clone(), 1.0)
    torch.nn.utils.clip_grad_norm_([parameter], 1.0)
    torch.testing.assert_close(ours, parameter.grad)


def test_the_reservoir_is_a_uniform_sample_of_the_past() -> None:
    size, total = 50, 1000
    state = {
        s.name: torch.zeros(s.resolve({}), dtype=getattr(torch, s.dtype)) for s in reservoir.specs(size, 1, "int64")
    }
    for at in range(0, total, 20):
        x = torch.arange(at, at + 20).double()[:, None]
        state |= reservoir.insert(state, x, torch.zeros(20, dtype=torch.int64), torch.ones(20), 4)
    kept = state["replay_x"][:, 0].numpy()
    assert len(np.unique(kept)) == size
    counts = np.histogram(kept, bins=5, range=(0, total))[0]  # 10 of 50 expected in each fifth
    assert ((counts - 10.0) ** 2 / 10.0).sum() < 18.5  # chi-square, 4 degrees of freedom, p = 0.001
    drawn = torch.cat([reservoir.draw({**state, "replay_draws": torch.tensor([d])}, 16)[0] for d in range(0, 3200, 16)])
    often = np.unique(drawn.numpy(), return_counts=True)[1]
    assert len(often) == size
    assert often.max() < 3 * often.mean()


def test_masked_rows_are_not_remembered() -> None:
    state = {s.name: torch.zeros(s.resolve({}), dtype=getattr(torch, s.dtype)) for s in reservoir.specs(4, 1, "int64")}
    x, y = torch.arange(1.0, 4.0).double()[:, None], torch.zeros(3, dtype=torch.int64)
    after = reservoir.insert(state, x, y, torch.tensor([1.0, 0.0, 1.0]), 1)
    assert sorted(after["replay_x"][:, 0].tolist()) == [0.0, 0.0, 1.0, 3.0]
    assert after["replay_count"].item() == 2


@pytest.mark.parametrize("size", [2, 5, 7, 11])
def test_no_size_of_a_network_is_taken_for_the_rows(size: int) -> None:
    net = network(nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 3)), features=size)
    learner, rng = Learner(package_of(net.source())), np.random.default_rng(0)
    state = learner.init_state({}, 0)
    for rows in (1, size, size + 1, 32):
        x, w = rng.standard_normal((rows, size)), np.ones(rows, np.float32)
        state, before, _ = learner.update(state, x, np.zeros(rows, np.int64), w, learner.hyper())
        assert before.shape == (rows, 3)


def test_frozen_parameters_are_no_state() -> None:
    whole, part = network(mlp(3)).source(), network(mlp(3), frozen=("0.",)).source()
    sizes = [next(s.shape[0] for s in source.state if s.name == "parameters") for source in (whole, part)]
    assert sizes == [24 * 7 + 25 * 3, 25 * 3]


def test_a_replay_buffer_declares_that_it_holds_rows() -> None:
    assert package_of(network(nn.Linear(6, 3), replay_size=8, replay_rows=2).source()).manifest.holds_rows


@pytest.mark.parametrize(
    ("options", "word"),
    [({"module": nn.BatchNorm1d(6)}, "buffers"), ({"frozen": ("",)}, "trained"), ({"classes": 1}, "two classes")],
)
def test_what_cannot_be_a_learner_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        network(options.pop("module", mlp(3)), **options).source()


def test_the_gate_names_a_tensor_that_is_wrong() -> None:
    net = network(nn.Linear(6, 3))
    package = package_of(net.source())
    other = network(net.module, optimiser=Optimiser(kind="adam", rate=0.01, betas=(0.8, 0.999)))
    with pytest.raises(parity.ParityError, match="optimiser_m"):
        parity.check(other.source(), package, steps=3)
