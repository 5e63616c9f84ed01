"""Series of paired differences whose long-run mean is known: where a promotion would be false, and where it is due."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Floats]  # runs, steps -> (runs, steps)

SCALE = 0.25  # of the noise of the autocorrelated series


def uniform(rng: np.random.Generator, runs: int, steps: int, mean: float = 0.0) -> Floats:
    return mean + rng.uniform(-0.5, 0.5, (runs, steps))


def sign(rng: np.random.Generator, runs: int, steps: int, disagree: float, mean: float = 0.0) -> Floats:
    """Return differences of 0/1 losses: -1, 0 or 1."""
    u = rng.random((runs, steps))
    return np.asarray(u < (disagree + mean) / 2, np.float64) - (u > 1 - (disagree - mean) / 2)


def gauss(rng: np.random.Generator, runs: int, steps: int, mean: float = 0.0) -> Floats:
    return np.clip(mean + 0.2 * rng.standard_normal((runs, steps)), -1, 1)


def student(rng: np.random.Generator, runs: int, steps: int) -> Floats:
    return np.clip(0.15 * rng.standard_t(3, (runs, steps)), -1, 1)


def arch(rng: np.random.Generator, runs: int, steps: int) -> Floats:
    noise = rng.standard_normal((steps, runs))
    variance = np.full(runs, 0.04)
    for step in range(steps):
        noise[step] *= np.sqrt(variance)
        variance = 0.02 + 0.5 * np.square(noise[step])
    return np.clip(noise, -1, 1).T


def drift(rng: np.random.Generator, runs: int, steps: int, size: float, period: int) -> Floats:
    """Return a mean of -size for half a period, then +size: the sum of the means is never above 0."""
    first = np.arange(steps) % period < period // 2
    return np.where(first, -size, size) + rng.uniform(-0.5, 0.5, (runs, steps))


def ar(rng: np.random.Generator, runs: int, steps: int, rho: float, mean: float = 0.0) -> Floats:
    noise = rng.standard_normal((steps, runs)) * SCALE * np.sqrt(1 - rho * rho)
    noise[0] /= np.sqrt(1 - rho * rho)
    for step in range(1, steps):
        noise[step] += rho * noise[step - 1]
    return np.asarray(np.clip(mean + noise.T, -1, 1), np.float64)


def delayed(rng: np.random.Generator, runs: int, steps: int) -> Floats:
    """Return a contest won on one class and lost on the other, whose labels come later; only ripe windows are judged.

    Judged when both classes are due, the order is that of the predictions.
    """
    won = rng.random((runs, steps)) < 0.3
    return np.where(won, 0.35, -0.15) + rng.uniform(-0.2, 0.2, (runs, steps))


def unripe(rng: np.random.Generator, runs: int, steps: int) -> Floats:
    """Return the same, judged as the labels come: the class that is lost is missing for 300 steps."""
    d = delayed(rng, runs, steps)
    due = np.where(d > 0.1, 0, 300) + np.arange(steps)  # won: .15 and more, lost: .05 and less
    return np.take_along_axis(d, np.argsort(due, axis=1, kind="stable"), axis=1)


@dataclass(frozen=True)
class Null:
    """A series without advantage; ``variance`` is that of one difference, ``rho`` asks for the block rule."""

    draw: Draw
    variance: float
    effect: float = 0.05  # that the test is designed for
    rho: float = 0.0


NULLS: Mapping[str, Null] = {
    "uniform": Null(uniform, 1 / 12),
    "0/1, 10 % disagree": Null(lambda rng, runs, steps: sign(rng, runs, steps, 0.1), 0.1, 0.02),
    "0/1, 1 % disagree": Null(lambda rng, runs, steps: sign(rng, runs, steps, 0.01), 0.01, 0.005),
    "Gauss": Null(gauss, 0.04, 0.02),
    "Student t3": Null(student, 0.055, 0.02),
    "ARCH": Null(arch, 0.04, 0.02),
    "drift .1, period 1000": Null(lambda rng, runs, steps: drift(rng, runs, steps, 0.1, 1000), 1 / 12),
    "drift .05, period 4000": Null(lambda rng, runs, steps: drift(rng, runs, steps, 0.05, 4000), 1 / 12),
    "drift .3, period 200": Null(lambda rng, runs, steps: drift(rng, runs, steps, 0.3, 200), 1 / 12),
    "AR(.3), blocks": Null(lambda rng, runs, steps: ar(rng, runs, steps, 0.3), SCALE**2, 0.02, 0.3),
    "AR(.6), blocks": Null(lambda rng, runs, steps: ar(rng, runs, steps, 0.6), SCALE**2, 0.02, 0.6),
    "AR(.9), blocks": Null(lambda rng, runs, steps: ar(rng, runs, steps, 0.9), SCALE**2, 0.02, 0.9),
    "delayed labels, ripe": Null(delayed, 0.066, 0.03),
}
