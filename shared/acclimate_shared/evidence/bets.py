"""The bets of an e-process, fixed before its test, and the paths of their wealth.

What an e-process promises rests on bets that do not depend on the data of the test: effect and variance come from a
backtest or from the plan, never from the differences that are judged. ``margin`` was taken off those differences, so
they are at least -(1 + margin); gains may be capped, losses never.

Example:
    >>> Bets.of(effect=0.0625, variance=0.25).lambdas
    (0.0625, 0.125, 0.25, 0.5, 0.9)
"""

import math
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from acclimate_shared.errors import InputError

Floats = NDArray[np.float64]

CAP = 0.9  # of the largest bet that cannot lose everything in one step
SPREAD = (0.25, 0.5, 1.0, 2.0, 4.0)
WEIGHTS = (0.1, 0.2, 0.4, 0.2, 0.1)
FLAT = tuple(0.5 * 2.0**-k for k in range(11))
SPREAD_OUT = 7  # bets for an effect of unknown variance
MAX_BETS = 16
SLACK = 1e-9  # a mean of values at the bound may round below it


@dataclass(frozen=True, slots=True)
class Bets:
    """The design of an e-process, fixed before its first difference.

    Attributes:
        lambdas: The bets, each in (0, 1 / (1 + margin)).
        weights: Their shares of the starting wealth; the sum is 1.
        margin: What was taken off the differences: they are at least -(1 + margin); above -1.
    """

    lambdas: tuple[float, ...]
    weights: tuple[float, ...]
    margin: float = 0.0

    def __post_init__(self) -> None:
        """Check the design.

        Raises:
            ValueError: If a bet can lose everything, or the weights are not shares of 1.
        """
        if not math.isfinite(self.margin) or self.margin <= -1:
            raise ValueError(f"margin must be above -1, not {self.margin}")
        if not 0 < len(self.lambdas) == len(self.weights) <= MAX_BETS:
            raise ValueError(f"1 to {MAX_BETS} bets, each with a weight")
        if not all(0 < bet * (1 + self.margin) < 1 for bet in self.lambdas):
            raise ValueError(f"each bet must be in (0, 1 / (1 + margin)), not {self.lambdas}")
        if not all(0 < weight <= 1 for weight in self.weights) or abs(sum(self.weights) - 1) > SLACK:
            raise ValueError(f"weights must be positive with sum 1, not {self.weights}")

    @classmethod
    def of(cls, *, effect: float, variance: float, margin: float = 0.0) -> "Bets":
        """Design for an expected mean and variance of the differences, both known from before the test.

        Args:
            effect: Expected mean of the differences after the margin was taken off, > 0.
            variance: Their expected variance, > 0.
            margin: See `Bets`.

        Raises:
            ValueError: If effect or variance is not positive.
        """
        if not (effect > 0 and variance > 0):
            raise ValueError(f"effect and variance must be positive, not {effect} and {variance}")
        cap = CAP / (1 + margin)
        return cls(tuple(min(factor * effect / variance, cap) for factor in SPREAD), WEIGHTS, margin)

    @classmethod
    def flat(cls, margin: float = 0.0) -> "Bets":
        """Design without knowledge of effect and variance; costs about a quarter more samples."""
        cap = CAP / (1 + margin)
        return cls(tuple(min(bet, cap) for bet in FLAT), (1 / len(FLAT),) * len(FLAT), margin)

    @classmethod
    def spread(cls, effect: float, margin: float = 0.0) -> "Bets":
        """Design for an expected mean of the differences after the margin was taken off, > 0, of unknown variance.

        The variance is at most 1, at which the best bet is the effect itself: the bets lie at equal ratios from half of
        that, so that an effect half as large is found too, up to the largest that is safe.
        """
        most = CAP / (1 + margin)
        ratio = min(effect / 2 / most, 0.5)  # of the smallest to the largest
        lambdas = tuple(most * ratio ** (k / (SPREAD_OUT - 1)) for k in range(SPREAD_OUT))
        return cls(lambdas, (1 / SPREAD_OUT,) * SPREAD_OUT, margin)

    def check(self, d: Floats) -> None:
        """Refuse differences that are not finite or lie below the bound.

        Args:
            d: (n,) float64.

        Raises:
            InputError: Naming the row (from 1) of the first.
        """
        bad = ~((d >= -1 - self.margin - SLACK) & (d < math.inf))
        if bad.any():
            row = int(bad.argmax())
            remedy = f"give finite differences of losses in [0, 1], at least {-1 - self.margin:g} after the margin"
            raise InputError("difference out of bounds", row=row + 1, field="d", value=float(d[row]), remedy=remedy)


def wealth_paths(bets: Bets, d: Floats, start: Floats | None = None) -> Floats:
    """Return the logarithm of the wealth of each bet after every difference.

    Args:
        bets: K bets.
        d: (..., n) float64, in order along the last axis.
        start: (K,) float64, the log wealths before; 0 when None.

    Returns:
        (K, ..., n) float64.
    """
    paths = np.stack([np.log1p(bet * d) for bet in bets.lambdas])
    if start is not None and d.shape[-1]:
        paths[..., 0] += start.reshape(-1, *[1] * (d.ndim - 1))
    return np.asarray(np.cumsum(paths, axis=-1, out=paths), np.float64)


def mix(bets: Bets, paths: Floats) -> Floats:
    """Return log E, (...) float64, of log wealths (K, ...), without overflow."""
    top = paths.max(axis=0)
    return np.asarray(top + np.log(np.tensordot(np.array(bets.weights), np.exp(paths - top), axes=1)), np.float64)


def mix_one(bets: Bets, wealth: list[float]) -> float:
    """Return what `mix` returns for one list of K log wealths, in a tenth of the time."""
    top = max(wealth)
    return top + log(sum([weight * exp(logs - top) for weight, logs in zip(bets.weights, wealth, strict=True)]))
