"""A lower bound of the mean difference that holds at every n at once, for reports.

The closed empirical-Bernstein form, centred at 0, mixed over the bets of the design instead of a grid of means: with
S the sum of the differences, V the sum of their squares, c = 1 + margin and psi(x) = -ln(1 - x) - x, the bound is the
mean at which

    sum_k w_k exp(lambda_k (S - n mean) - psi(c lambda_k) V / c²) = 1 / alpha.

It needs only n, S and V. Since ln(1 + lambda x) >= lambda x - psi(c lambda) x² / c² for x >= -c (Fan), the left side
is at mean 0 no larger than E itself: a report may say "not shown" where the test has decided, never the reverse. Choe
and Ramdas, arXiv 2110.00115, theorem 2; the mean is the running mean of conditional expectations, as in `mixbet`.

Example:
    >>> from acclimate_shared.evidence.bets import Bets
    >>> d = [0.2, 0.0, 0.1, 0.3] * 100
    >>> test = MixBet.new(Bets.of(effect=0.02, variance=0.05))
    >>> _ = [test.update(value) for value in d]
    >>> 0.1 < lower_bound(test, 0.05) < 0.15
    True
"""

import math

from acclimate_shared.evidence.mixbet import MixBet

STEPS = 60  # of bisection: far below the last bit of the bound


def lower_bound(test: MixBet, alpha: float) -> float:
    """Return the lower end of the confidence sequence for the mean of the differences of an e-process.

    Args:
        test: Its state; the differences are those after the margin was taken off.
        alpha: Probability that the bound is ever above the running mean of conditional expectations.

    Returns:
        At least -(1 + margin), at most the mean of the differences.
    """
    scale = 1 + test.bets.margin
    low = -scale
    if test.n == 0:
        return low
    high = max(test.total / test.n, low)
    goal = math.log(1 / alpha)
    if _log_e(test, low) < goal:
        return low
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_e(test, middle) >= goal else (low, middle)
    return low


def _log_e(test: MixBet, mean: float) -> float:
    """Return the log of the mixture at a supposed mean; it falls as the mean grows."""
    scale = 1 + test.bets.margin
    shares = [
        math.log(weight)
        + bet * (test.total - test.n * mean)
        + (math.log1p(-scale * bet) + scale * bet) * test.squares / scale**2
        for bet, weight in zip(test.bets.lambdas, test.bets.weights, strict=True)
    ]
    top = max(shares)
    return top + math.log(sum(math.exp(share - top) for share in shares))
