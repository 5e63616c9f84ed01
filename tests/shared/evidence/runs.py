"""Many runs of a test at once, looked at after every observation."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from acclimate_shared.evidence import Account, Bets, alpha_factor, block_length, mix, wealth_paths
from tests.shared.evidence.series import NULLS, Draw, Floats, Null, gauss

ALPHA = 0.05
CHUNK = 100  # runs in memory at a time


def chunks(draw: Draw, runs: int, steps: int, seed: int) -> Iterator[Floats]:
    """Yield (CHUNK, steps) differences of seeded runs."""
    rng = np.random.default_rng(seed)
    for _ in range(runs // CHUNK):
        yield draw(rng, CHUNK, steps)


def blocked(d: Floats, length: int) -> Floats:
    """Return block means (runs, blocks) of (runs, steps)."""
    full = d.shape[1] // length
    return np.asarray(d[:, : full * length].reshape(len(d), full, length).mean(axis=2), np.float64)


def first_crossing(bets: Bets, d: Floats, alpha: float) -> NDArray[np.int64]:
    """Return the observation (runs,), from 1, at which E first reaches 1 / alpha; 0: never."""
    crossed = mix(bets, wealth_paths(bets, d)) >= math.log(1 / alpha)
    return np.asarray(np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 0), np.int64)


def block_variance(variance: float, rho: float, length: int) -> float:
    """Return the variance of the mean of ``length`` AR(1) values."""
    k = np.arange(1, length)
    return variance / length * (1 + 2 * float(((1 - k / length) * rho**k).sum()))


def false_promotions(null: Null, runs: int, steps: int, seed: int) -> float:
    """Return the share of runs that are ever promoted."""
    length = block_length(null.rho)
    bets = Bets.of(effect=null.effect, variance=block_variance(null.variance, null.rho, length))
    return float((stopping_times(null.draw, bets, runs, steps, seed=seed, length=length) > 0).mean())


def stopping_times(draw: Draw, bets: Bets, runs: int, steps: int, *, seed: int, length: int = 1) -> NDArray[np.int64]:
    """Return the labels (runs,) to a promotion, 0: not within ``steps``."""
    level = ALPHA * alpha_factor(length)
    found = [first_crossing(bets, blocked(d, length), level) * length for d in chunks(draw, runs, steps, seed)]
    return np.concatenate(found)


def sequence_of(runs: int, steps: int, *, better: int, seed: int) -> float:
    """Return the mean share of false among the promotions of 8 challengers in turn, ``better`` of them better by .05.

    All eight are paired with the same losses of the champion, so the tests hang together.
    """
    bets = Bets.of(effect=0.05, variance=1 / 6)
    rng = np.random.default_rng(seed)
    shares = []
    for _ in range(runs // CHUNK):
        champion = rng.random((CHUNK, steps))
        spent = [Account(ALPHA) for _ in range(CHUNK)]
        false = np.zeros(CHUNK)
        for challenger in range(8):
            gain = 0.05 if challenger % 2 == 1 and challenger // 2 < better else 0.0
            d = np.clip(champion - rng.random((CHUNK, steps)) + gain, -1, 1)
            path = mix(bets, wealth_paths(bets, d)).max(axis=1)
            for run, account in enumerate(spent):
                if path[run] >= math.log(1 / account.start().alpha):
                    account.promoted()
                    false[run] += gain == 0
        shares.append(false / np.array([max(account.promotions, 1) for account in spent]))
    return float(np.concatenate(shares).mean())


def peeked_t(runs: int, steps: int, seed: int) -> float:
    """Return the share of null runs in which a t-test, looked at after every label from the 30th, is ever passed."""
    hits = []
    for d in chunks(gauss, runs, steps, seed):
        n = np.arange(1, steps + 1)
        mean = d.cumsum(axis=1) / n
        variance = np.square(d).cumsum(axis=1) / n - mean * mean
        t = mean[:, 29:] / np.sqrt(variance[:, 29:] / n[28:-1])
        hits.append((t > 1.645).any(axis=1))
    return float(np.concatenate(hits).mean())


def adaptive_on_drift(runs: int, steps: int, seed: int) -> float:
    """Return the share of promotions when the bet is the running mean over variance of the last 200 or so labels."""
    hits = []
    for d in chunks(NULLS["drift .1, period 1000"].draw, runs, steps, seed):
        mean, square = np.zeros(len(d)), np.full(len(d), 0.1)
        log, top = np.zeros(len(d)), np.zeros(len(d))
        for x in d.T:
            log += np.log1p(np.clip(mean / square, 0, 0.5) * x)
            np.maximum(top, log, out=top)
            mean += (x - mean) / 200
            square += (x * x - square) / 200
        hits.append(top >= math.log(1 / ALPHA))
    return float(np.concatenate(hits).mean())


def unblocked(runs: int, steps: int, seed: int) -> float:
    """Return the share of promotions on AR(.6) without advantage when the block rule is left out."""
    null = NULLS["AR(.6), blocks"]
    bets = Bets.of(effect=null.effect, variance=null.variance)
    return float((stopping_times(null.draw, bets, runs, steps, seed=seed) > 0).mean())
