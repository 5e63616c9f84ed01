"""Small measurements: one training step beside torch, one answer of the agent."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from acclimate_device.agent import Agent
from acclimate_device.procedures import standard_learner

ROWS, FEATURES, HIDDEN, CLASSES = 512, 8, 64, 2
ROUNDS = 200


def best_us(call: Callable[[], object]) -> float:
    """Return the fastest of ROUNDS calls in microseconds."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return min(times) * 1e6


def training_step() -> dict[str, float]:
    """Return microseconds of one step of the mlp, of torch eager with fused Adam, and of the step's matrix products."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((ROWS, FEATURES)), rng.integers(0, CLASSES, ROWS)
    learner = standard_learner("mlp", "classification")
    state = learner.init_state({"features": FEATURES, "classes": CLASSES, "hidden": HIDDEN}, 0)
    w, hyper = np.ones(ROWS, np.float32), learner.hyper()
    ours = best_us(lambda: learner.update(state, x, y, w, hyper))
    module = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, HIDDEN), torch.nn.ReLU(),
        torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES),
    )  # fmt: skip
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
    inputs, targets = torch.from_numpy(x).float(), torch.from_numpy(y)

    def eager() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return {"acclimate_us": ours, "torch_eager_us": best_us(eager), "matrix_products_us": best_us(_products(rng))}


def _products(rng: np.random.Generator) -> Callable[[], object]:
    """Return the eight matrix products of one step (no gradient of the input is needed)."""
    sizes = [(FEATURES, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, CLASSES)]
    acts = [rng.standard_normal((ROWS, a)).astype(np.float32) for a, _ in sizes]
    weights = [rng.standard_normal(s).astype(np.float32) for s in sizes]
    grads = [rng.standard_normal((ROWS, b)).astype(np.float32) for _, b in sizes]

    def run() -> None:
        for i in range(3):
            np.matmul(acts[i], weights[i])
            np.matmul(acts[i].T, grads[i])
            if i:
                np.matmul(grads[i], weights[i].T)

    return run


def answer_us() -> dict[str, float]:
    """Return the median microseconds of ``Agent.predict`` with eight features, per single learner and committee."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = [
        {f"x{i}": float(v) for i, v in enumerate(row)} for row in rng.standard_normal((600, 8))
    ]
    labels = [str(int(float(str(row["x0"])) > 0)) for row in rows]
    found = {}
    for name in ("softmax", "rls", "mlp", "naive-bayes", "knn", "committee"):
        agent = Agent(task="classification", learners=None if name == "committee" else [name])
        if name in {"rls", "softmax"}:
            agent = Agent(task="classification", learners=["rls-slow" if name == "rls" else "softmax-slow"])
        agent.learn_many(rows, labels)
        found[name] = _median_us(agent, rows)
    return found


def _median_us(agent: Agent, rows: list[dict[str, object]]) -> float:
    times: list[float] = []
    for row in rows:
        begun = time.perf_counter()
        agent.predict(row)
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e6
