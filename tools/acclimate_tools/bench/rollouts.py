"""Many rollouts over a simulated fleet, through the very gate and state machine of the hub.

Each run draws a fleet: devices that differ in how the new base suits them, how many labels they get, how fast and how
reliable they are; losses that hang together in time on a device and, through common shocks and the time of day, over
the fleet; devices that are on always, by day, now and then, or never. Reports are lost, or come after the watermark.
The devices protect themselves by nothing: their own probation, which in earnest would end many a harm sooner, is left
out. What is measured is how many devices were *served* by the base before the rollout halted.

    python -m acclimate_tools.bench.rollouts --runs 100

The short form of `tests/hub/rollout/test_simulation.py` runs in the gate; the long one writes
docs/results/rollouts.json.
"""

import json
from dataclasses import dataclass
from functools import cache

import click
import numpy as np
from numpy.typing import NDArray

from acclimate_hub.rollout import Gate, Outcomes, Phase, Rollout, RolloutPlan, VerdictKind, machine
from acclimate_hub.rollout.machine import GATE, Act
from acclimate_shared.waves import Stage, edge, positions

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DEVICES = 10_000
DAY = 144  # time blocks of ten minutes
LABEL_SD = 0.3  # of the loss difference of one label
DEVICE_SD, DEVICE_RHO = 0.1, 0.5  # of what hangs together on a device from block to block
SUITS_SD = 0.02  # how differently the base suits the devices
SHOCK_SD, SHOCK_RHO = 0.003, 0.6  # of what all devices share
DAILY = 0.002  # how much worse the base is at noon than on average, and better at midnight
LOST, LATE = 0.02, 0.03  # reports
INSTALL_FAILS = 0.003  # of devices, whatever the base
CRASH, REJECT = 0.0001, 0.001  # of predictions, whatever the base


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A new base: increase of its mean loss, factor of its latency and memory, share of predictions it dies on.

    ``hidden``: shows its harm only where it serves, not in shadow.
    """

    loss: float = 0.0
    latency: float = 1.0
    memory: float = 1.0
    crash: float = 0.0
    reject: float = 0.0
    hidden: bool = False


BASES = {
    "equal": Base(),
    "worse by 3 points": Base(loss=0.03),
    "slower by 30 %": Base(latency=1.3),
    "crashing on 1 %": Base(crash=0.01),
    "worse by 3 points, in service only": Base(loss=0.03, hidden=True),
    "slower by 30 %, in service only": Base(latency=1.3, hidden=True),
    "crashing on 1 %, in service only": Base(crash=0.01, hidden=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one rollout went: where it ended, in which wave, after how many blocks, and the share that it served."""

    phase: Phase
    wave: int
    blocks: int
    served: float
    why: str


class Fleet:
    """Devices of one run; arrays are (devices,)."""

    def __init__(self, rng: np.random.Generator, devices: int) -> None:
        """Draw them."""
        self.rng = rng
        self.suits = rng.normal(0.0, SUITS_SD, devices)
        self.labels = np.clip(rng.lognormal(np.log(10), 0.5, devices), 1, 60)  # a block
        self.latency = rng.normal(0.0, 0.05, devices)
        self.memory = rng.normal(0.0, 0.05, devices)
        self.kind = rng.choice(4, devices, p=(0.6, 0.25, 0.1, 0.05))  # always on, by day, now and then, never
        self.zone = rng.choice((0, 36, 72), devices, p=(0.6, 0.3, 0.1))  # blocks that its clock is ahead
        self.held = rng.normal(0.0, DEVICE_SD, devices)
        self.shock = rng.normal(0.0, SHOCK_SD)
        self.fails = rng.random(devices) < INSTALL_FAILS

    def online(self, who: NDArray[np.int64], block: int) -> Mask:
        """Return which of the devices are connected in a time block."""
        hour = (block + self.zone[who]) % DAY
        day = (hour >= DAY // 4) & (hour < DAY * 11 // 12)
        kind = self.kind[who]
        now_and_then = (kind == 2) & (self.rng.random(len(who)) < 0.3)  # noqa: PLR2004 - the third kind
        return np.asarray((kind == 0) | ((kind == 1) & day) | now_and_then, np.bool_)

    def measure(self, who: NDArray[np.int64], base: Base, block: int) -> dict[str, Floats]:
        """Return what devices (n,) that are on measure in a time block: see `BlockReport.values`."""
        rng, n = self.rng, len(who)
        hour = (block + self.zone[who]) % DAY
        light = 1 + 0.6 * np.sin(2 * np.pi * (hour - DAY / 4) / DAY)
        labels = rng.poisson(self.labels[who] * light)
        asked = np.maximum(labels, 1) * 2
        self.held[who] = DEVICE_RHO * self.held[who] + np.sqrt(1 - DEVICE_RHO**2) * DEVICE_SD * rng.standard_normal(n)
        noise = LABEL_SD / np.sqrt(np.maximum(labels, 1)) * rng.standard_normal(n)
        loss = base.loss + self.suits[who] + self.shock + DAILY * (light - 1) / 0.6 + self.held[who] + noise
        return {
            "loss": np.where(labels > 0, np.clip(loss, -0.5, 0.5), np.nan),
            "crash": rng.binomial(asked, CRASH + base.crash) / asked,
            "reject": rng.binomial(asked, REJECT + base.reject) / asked,
            "latency": np.log(base.latency) + self.latency[who] + 0.1 * rng.standard_normal(n),
            "memory": np.log(base.memory) + self.memory[who] + 0.02 * rng.standard_normal(n),
        }

    def tick(self) -> None:
        """Let what all devices share go on."""
        self.shock = SHOCK_RHO * self.shock + np.sqrt(1 - SHOCK_RHO**2) * SHOCK_SD * self.rng.standard_normal()


@cache
def _names(devices: int) -> tuple[str, ...]:
    return tuple(f"device-{i}" for i in range(devices))


class Simulation:
    """One rollout of one base over one fleet."""

    def __init__(self, plan: RolloutPlan, base: Base, seed: int, devices: int = DEVICES) -> None:
        """Draw the fleet and start an approved rollout."""
        self.plan, self.base, self.devices = plan, base, devices
        self.rng = np.random.default_rng(seed)
        self.fleet = Fleet(self.rng, devices)
        self.at = positions(f"salt-{seed}", _names(devices))
        self.served = np.zeros(devices, np.bool_)
        self.warm = np.zeros(devices)  # labels learned
        self.block = int(self.rng.integers(0, DAY))
        start = Rollout(
            id="r", author="a", digest="d" * 64, previous="c" * 64, salt=f"salt-{seed}", cohorts=("all",), plan=plan
        )
        approved, _ = machine.approve(start, self._act("approved"))
        self.rollout, _ = machine.start(approved, self._act("started"), number=1)
        self.blocks = 0
        self.counts = dict.fromkeys(Stage, (0, 0))  # devices that have begun and failed in earlier waves

    def _act(self, why: str, who: str = "operator", numbers: dict[str, float] | None = None) -> Act:
        return Act(who=who, why=why, now_s=self.block * self.plan.block_s, numbers=numbers or {})

    def run(self) -> Run:
        """Go through the waves to the end."""
        while self.rollout.phase is Phase.WAVE:
            self._wave()
        final = self.rollout
        served = float(self.served.mean())
        return Run(phase=final.phase, wave=final.wave, blocks=self.blocks, served=served, why=final.why)

    def _wave(self) -> None:
        """Run one wave to its verdict."""
        wave = self.plan.waves[self.rollout.wave]
        serving = wave.stage is Stage.SERVE
        who = np.flatnonzero((self.at < edge(wave.percent)) & ~(self.served if serving else np.zeros_like(self.served)))
        base = self.base if serving or not self.base.hidden else Base()
        gate = Gate.from_bytes(self.plan, self.rollout.gate)
        begun, age = np.zeros(len(who), np.bool_), np.zeros(len(who))
        member = np.zeros(len(who), np.bool_)  # as known before the block
        probation, before = self.plan.probation_s / self.plan.block_s, self.counts[wave.stage]
        while True:
            self.block, self.blocks = self.block + 1, self.blocks + 1
            online = self.fleet.online(who, self.block)
            begun |= online
            working = begun & ~self.fleet.fails[who]
            if serving:
                self.served[who[working]] = True
            heard = online & member & (self.rng.random(len(who)) >= LOST + LATE)
            gate.close(gate.next_block, members=int(member.sum()), values=self._values(who, heard, base))
            age += online & working  # a device that is off is not asked either: its probation goes on later
            self.warm[who[working]] += self.fleet.labels[who[working]]
            member = working & (self.warm[who] >= self.plan.warmup_labels)
            outcomes = Outcomes(
                serving=serving,
                begun=int(begun.sum()),
                succeeded=int((working & (age >= probation)).sum()),
                ever_begun=before[0] + int(begun.sum()),
                ever_failed=before[1] + int((begun & self.fleet.fails[who]).sum()),
            )
            if self._decided(gate, outcomes):
                self.counts[wave.stage] = outcomes.ever_begun, outcomes.ever_failed
                return

    def _values(self, who: NDArray[np.int64], heard: Mask, base: Base) -> dict[str, Floats]:
        self.fleet.tick()
        return self.fleet.measure(who[heard], base, self.block)

    def _decided(self, gate: Gate, outcomes: Outcomes) -> bool:
        verdict = gate.verdict(outcomes)
        if verdict.kind is VerdictKind.WAITING:
            return False
        change = {
            VerdictKind.PASS: machine.advance,
            VerdictKind.HALT: machine.abort,
            VerdictKind.STARVED: machine.pause,
        }
        self.rollout, _ = change[verdict.kind](self.rollout, self._act(verdict.why, GATE, verdict.numbers))
        return True


def summary(runs: list[Run], plan: RolloutPlan, bar: float = 0.015) -> dict[str, object]:
    """Return the figures of many runs of one base."""
    served, hours = np.array([run.served for run in runs]), np.array([run.blocks for run in runs]) * plan.block_s / 3600
    aborted = [run for run in runs if run.phase is Phase.ABORTED]
    reasons: dict[str, int] = {}
    for run in aborted:
        name = run.why.split(":")[0]
        reasons[name] = reasons.get(name, 0) + 1
    return {
        "runs": len(runs),
        "aborted": round(len(aborted) / len(runs), 4),
        "paused": round(sum(run.phase is Phase.PAUSED for run in runs) / len(runs), 4),
        "done": round(sum(run.phase is Phase.DONE for run in runs) / len(runs), 4),
        "halted before it served the bar": round(
            sum(run.phase is not Phase.DONE and run.served < bar for run in runs) / len(runs), 4
        ),
        "served, median": round(float(np.median(served)), 5),
        "served, largest": round(float(served.max()), 5),
        "hours, median": round(float(np.median(hours)), 1),
        "hours, 95 %": round(float(np.quantile(hours, 0.95)), 1),
        "ended in wave": {str(w + 1): sum(run.wave == w for run in runs) for w in sorted({run.wave for run in runs})},
        "aborted for": dict(sorted(reasons.items())),
    }


def simulate(
    name: str, runs: int, *, seed: int = 0, devices: int = DEVICES, plan: RolloutPlan | None = None
) -> list[Run]:
    """Run many rollouts of a base of `BASES`, seeded."""
    chosen = plan or RolloutPlan()
    return [Simulation(chosen, BASES[name], seed * 1_000_003 + i, devices).run() for i in range(runs)]


@click.command()
@click.option("--runs", default=100, help="Rollouts of each base.")
@click.option("--base", "names", multiple=True, type=click.Choice(sorted(BASES)), help="Only these.")
def main(runs: int, names: tuple[str, ...]) -> None:
    """Simulate rollouts and print what came of them."""
    for name in names or BASES:
        print(name, json.dumps(summary(simulate(name, runs), RolloutPlan()), indent=1))


if __name__ == "__main__":
    main()
