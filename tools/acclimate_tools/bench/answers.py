"""``make bench-answers``: what challengers cost the answers of a live agent.

Agents that differ in their challengers alone serve the same events in one process, in short blocks (a tenth of a
second) whose order is drawn anew in every round, at a steady pace, learning in the background; labels come LATE events
later. So whatever else the machine does meets all of them alike. Reported are the ratios of percentiles with their 95 %
intervals (bootstrap over rounds), and how long a promotion takes from the last evidence to the next answer.

``itself`` compares the odd rounds of the agent without challengers with its even ones, half as many: its ratio is 1, so
its interval tells what this measurement can see (``--agent none_again`` runs that agent twice, for the same at full
size). Only one per cent of the answers decide: the full size, 200,000 answers of each of three agents, is for a quiet
machine, where its pace alone, 200 events a second, takes fifty minutes; ``--rounds 20`` tries it out.

``make bench-answers-busy`` is the same at 800 events a second, where learning keeps one of two cores busy all the time
and an answer has to be computed beside it.
"""

import gc
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console

import acclimate_device
from acclimate_device.agent import Agent
from acclimate_device.arena import Arena
from acclimate_device.outputs import to_json, write_text
from acclimate_device.rules import NONE, Rules
from acclimate_shared.evidence import BlockRule, Plan
from acclimate_tools.bench.replay import ROOT, machine

Array = npt.NDArray[Any]
Figures = dict[str, float]

FEATURES, LATE, MICRO_BATCH = 8, 32, 256
WARM_ROWS = 1536  # learned before the first block, so that all tests run
CHALLENGERS = ("softmax", "committee-quick", "committee-steady")
AGENTS = ("none", "none_again", "three", "three_one_outside")
PACKAGE = Path(acclimate_device.__file__).parent / "learners" / "mlp-classification"
USUAL = ("none", "three", "three_one_outside")
ITSELF = "itself"
RESAMPLES = 2000
SWITCHES = 50
PERCENTILES = (50.0, 90.0, 99.0)
BAR = 1.02  # of the ratio of the 99th percentiles

#: Tests under this plan do not end within a benchmark.
ENDLESS = Plan(
    metric="wrong answers", loss="zero_one", mde=2e-4, equivalence=1e-4, n_max=10_000_000, bad=0.5, alpha=1e-9,
    block=BlockRule(length=1, variance=0.1), changed_by=("owner",),
)  # fmt: skip


def events(seed: int) -> Iterator[tuple[dict[str, object], str]]:
    """Yield features and label without end."""
    rng = np.random.default_rng(seed)
    while True:
        for row in rng.standard_normal((1024, FEATURES)):
            label = row[0] + 0.5 * row[1] * row[2] + rng.standard_normal() > 0
            yield {f"x{i}": float(value) for i, value in enumerate(row)}, str(bool(label))


class Served:
    """An agent under load."""

    def __init__(self, agent: Agent, seed: int) -> None:
        """Warm it up until its tests run."""
        self.agent, self._events = agent, events(seed)
        rows = [next(self._events) for _ in range(WARM_ROWS)]
        agent.learn_many([features for features, _ in rows], [label for _, label in rows])
        agent.commit()
        self._waiting: deque[tuple[str, str]] = deque()
        self.tests: list[int] = []

    def block(self, rows: int, period_s: float) -> list[float]:
        """Serve rows, one a period; return the seconds that each answer took."""
        taken, due = [], time.perf_counter()
        for _ in range(rows):
            features, label = next(self._events)
            time.sleep(max(0.0, due - time.perf_counter()))
            due += period_s
            begun = time.perf_counter()
            answer = self.agent.predict(features)
            taken.append(time.perf_counter() - begun)
            self._waiting.append((answer.id, label))
            if len(self._waiting) > LATE:
                self.agent.feedback(*self._waiting.popleft())
        self.tests.append(len(self.agent.status()["tests"]))
        self.agent.flush()  # nothing of this block is left to disturb the next agent's
        return taken


def ratio(base: Sequence[Array], other: Sequence[Array], percentile: float, rng: np.random.Generator) -> Figures:
    """Compare a percentile of two agents.

    Args:
        base: seconds of each answer, (rows,) a block.
        other: the blocks of the same rounds.
        percentile: 0 to 100.
        rng: of the bootstrap.
    """
    first, second = (_quantile(np.stack(blocks), percentile / 100) for blocks in (base, other))
    rounds = len(base)

    def of(times: Array) -> float:
        return second(times) / first(times)

    drawn = [of(np.bincount(rng.integers(0, rounds, rounds), minlength=rounds)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"ratio": of(np.ones(rounds, np.int64)), "low": float(low), "high": float(high)}


def _quantile(blocks: Array, share: float) -> Callable[[Array], float]:
    """Return what tells a quantile of blocks, (rounds, rows), of which each counts so many times, (rounds,) int64.

    They are sorted once: a bootstrap asks for thousands of quantiles of the same numbers.
    """
    order = np.argsort(blocks, axis=None)
    values, rounds = blocks.reshape(-1)[order], order // blocks.shape[1]

    def of(times: Array) -> float:
        upto = np.cumsum(times[rounds])
        return float(values[np.searchsorted(upto, share * upto[-1])])

    return of


def compared(found: Mapping[str, Sequence[Array]], rng: np.random.Generator) -> dict[str, dict[str, Figures]]:
    """Return the ratios of every agent's percentiles to those of the first, and of its odd rounds to its even ones."""
    base, *others = found
    halves = len(found[base]) // 2
    pairs = {name: (found[base], found[name]) for name in others}
    pairs[ITSELF] = found[base][: 2 * halves : 2], found[base][1 : 2 * halves : 2]
    return {name: {f"p{at:g}": ratio(*pair, at, rng) for at in PERCENTILES} for name, pair in pairs.items()}


def verdict(said: Figures) -> str:
    """Return in a word whether a ratio is at most the bar, as far as its interval tells."""
    if said["high"] <= BAR:
        return "holds"
    return "does not hold" if said["low"] > BAR else "cannot be told"


def switch_ms(agent: Agent) -> Figures:
    """Return how long it takes until another candidate serves, everything that a promotion does included."""
    whole, reference = [], []
    for at in range(SWITCHES):
        name = CHALLENGERS[at % len(CHALLENGERS)]

        def promote(arena: Arena, name: str = name) -> None:
            begun = time.perf_counter()
            arena.override(name, "bench", "to measure")
            whole.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            arena.roster.let_serve(arena.roster.serving)
            reference.append(time.perf_counter() - begun)

        agent.amend(promote)
    kinds = {"promotion": whole, "reference": reference}
    return {
        f"{kind}_{how.__name__.strip('_')}": 1e3 * how(times) for kind, times in kinds.items() for how in (_median, max)
    }


def _median(times: Sequence[float]) -> float:
    return statistics.median(times)


def arms() -> dict[str, Callable[[], Agent]]:
    """Return how to make each agent, the one without challengers first, and again as a control."""

    def agent(challengers: tuple[str, ...], outside: Sequence[Path] = ()) -> Callable[[], Agent]:
        rules = Rules(challengers=challengers, plan=ENDLESS)
        return lambda: Agent(
            task="classification", rules=rules, micro_batch=MICRO_BATCH, background=True, outside=outside
        )

    made = (
        agent(NONE), agent(NONE), agent(CHALLENGERS), agent((*CHALLENGERS[:2], "outside-mlp"), [PACKAGE]),
    )  # fmt: skip
    return dict(zip(AGENTS, made, strict=True))


def measure(rounds: int, rows: int, period_s: float, console: Console, names: Sequence[str] = USUAL) -> dict[str, Any]:
    """Serve ``rounds`` blocks of ``rows`` with the named agents, in random order."""
    rng, begun_s = np.random.default_rng(0), time.perf_counter()
    chosen = {name: make for name, make in arms().items() if name in names}
    found: dict[str, list[Array]] = {name: [] for name in chosen}
    cpu_s = dict.fromkeys(chosen, 0.0)
    with ExitStack() as stack:
        served = {name: Served(stack.enter_context(make()), 1) for name, make in chosen.items()}
        for load in served.values():
            load.block(rows, period_s)
        gc.collect()
        gc.freeze()  # what the other agents hold is no part of what one costs
        stack.callback(gc.unfreeze)
        for at in range(rounds):
            with console.status(f"round {at + 1} of {rounds}"):
                for name in rng.permutation(list(served)).tolist():
                    begun = time.process_time()
                    found[name].append(np.array(served[name].block(rows, period_s)))
                    cpu_s[name] += time.process_time() - begun
        tests = {name: statistics.mean(load.tests) for name, load in served.items()}
        switch = switch_ms(served["three"].agent) if "three" in served else None
    took_s = time.perf_counter() - begun_s
    against = compared(found, rng)
    return {
        "took_s": took_s,
        "rounds": rounds,
        "rows": rows,
        "period_s": period_s,
        "tests_running": tests,
        "cpu_us_an_event": {name: 1e6 * spent / (rounds * rows) for name, spent in cpu_s.items()},
        **{
            f"p{at:g}_us": {name: 1e6 * float(np.percentile(np.stack(blocks), at)) for name, blocks in found.items()}
            for at in PERCENTILES
        },
        "against_none": against,
        "at_most_2_percent": {name: verdict(said["p99"]) for name, said in against.items()},
        "switch_ms": switch,
    }


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "results" / "answers.json")
@click.option("--rounds", type=click.IntRange(4), default=10_000, show_default=True, help="Blocks of each agent.")
@click.option("--rows", type=click.IntRange(20), default=20, show_default=True, help="Answers of a block.")
@click.option("--period-ms", type=click.FloatRange(0.1), default=5.0, show_default=True, help="Between two events.")
@click.option("--agent", "names", multiple=True, type=click.Choice(AGENTS), help="Only these; none is always there.")
def main(*, out: Path, rounds: int, rows: int, period_ms: float, names: tuple[str, ...]) -> None:
    """Measure what three challengers cost the answers, and how long a promotion takes."""
    console = Console(stderr=True)
    found = {**machine(), **measure(rounds, rows, period_ms / 1e3, console, (AGENTS[0], *names) if names else USUAL)}
    for name, of in found["against_none"].items():
        said = of["p99"]
        told = found["at_most_2_percent"][name]
        console.print(
            f"{name}: p99 × {said['ratio']:.3f} ({said['low']:.3f} to {said['high']:.3f}), at most {BAR}: {told}"
        )
    console.print(f"{rounds * rows:,} answers of each agent in {found['took_s']:.0f} s")
    if found["switch_ms"]:
        console.print(f"promotion: {found['switch_ms']['promotion_median']:.2f} ms")
    write_text(out, to_json(found))


if __name__ == "__main__":
    main()
