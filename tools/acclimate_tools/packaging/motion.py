"""Made-up people who move: windows of an accelerometer and a gyroscope, as statistics, with what the person did.

No recording of people goes into what is released. The model is a sketch of the mechanics, with round numbers: a body
at rest feels gravity (9.81 m/s²) in the direction in which the phone is worn; walking shakes it about twice a second,
running nearly three times and harder; cycling turns the legs a little more than once a second and hardly shakes it.
Frequency, strength, harmonics, direction and noise differ from person to person and from window to window. A person
does one thing for a while, then another. What is learned from it is where to begin, not how people move.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATE_HZ = 50
WINDOW = 128  # samples of a window, 2.56 s
WINDOWS_OF_A_PERSON = 40
GRAVITY = 9.81
SIGNALS = ("acc_x", "acc_y", "acc_z", "acc_mag", "gyro_x", "gyro_y", "gyro_z", "gyro_mag")
STATISTICS = ("mean", "std", "min", "max")
COLUMNS = (*(f"{signal}_{what}" for signal in SIGNALS for what in STATISTICS), "acc_mag_domfreq", "gyro_mag_domfreq")


@dataclass(frozen=True, slots=True)
class Gait:
    """How a body moves: cycles a second, shaking in m/s², turning in rad/s."""

    cycles_hz: float
    shaking: float
    turning: float


ACTIVITIES = {
    "still": Gait(0.25, 0.05, 0.02),  # breathing
    "walking": Gait(1.9, 2.5, 0.8),
    "running": Gait(2.7, 8.0, 1.8),
    "cycling": Gait(1.3, 0.9, 0.9),
}


def windows(count: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """Return so many windows and what was done in each.

    Args:
        count: of windows.
        seed: of everything.

    Returns:
        (count, columns) float64 in the order of COLUMNS; (count,) int64, the place in ACTIVITIES.
    """
    rng = np.random.default_rng(seed)
    rows: list[Array] = []
    labels: list[int] = []
    while len(rows) < count:
        for row, label in _person(rng):
            rows.append(row)
            labels.append(label)
    return np.stack(rows[:count]), np.array(labels[:count], np.int64)


def _person(rng: np.random.Generator) -> Iterator[tuple[Array, int]]:
    """Yield the windows of one person, who changes between activities every few windows."""
    gaits = list(ACTIVITIES.values())
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    pace, force = np.exp(rng.normal(0.0, (0.12, 0.3)))
    done, left = int(rng.integers(len(gaits))), 0
    for _ in range(WINDOWS_OF_A_PERSON):
        if left == 0:
            done, left = int(rng.integers(len(gaits))), int(rng.integers(3, 12))
        left -= 1
        gait = gaits[done]
        mine = Gait(gait.cycles_hz * pace, gait.shaking * force, gait.turning * force)
        yield statistics(_signals(rng, mine, direction)), done


def _signals(rng: np.random.Generator, gait: Gait, direction: Array) -> Array:
    """Return one window, (6, WINDOW): three axes of the accelerometer in m/s², three of the gyroscope in rad/s."""
    time_s = np.arange(WINDOW) / RATE_HZ
    cycles = gait.cycles_hz * np.exp(rng.normal(0.0, 0.05)) * time_s
    out = np.empty((6, WINDOW))
    for axis in range(6):
        size = (gait.shaking if axis < 3 else gait.turning) * np.exp(rng.normal(0.0, 0.35))  # noqa: PLR2004
        wave = sum(rng.normal(0.0, 1 / k) * np.sin(2 * np.pi * (k * cycles + rng.random())) for k in (1, 2, 3))
        out[axis] = size * wave + rng.normal(0.0, 0.08, WINDOW)
    tilted = direction + rng.normal(0.0, 0.1, 3)
    out[:3] += GRAVITY * (tilted / np.linalg.norm(tilted))[:, None]
    return out


def statistics(signals: Array) -> Array:
    """Return the row of a window: four statistics of eight signals, and two frequencies in Hz.

    Args:
        signals: (6, samples) float64, accelerometer then gyroscope.
    """
    magnitudes = np.stack([np.linalg.norm(signals[:3], axis=0), np.linalg.norm(signals[3:], axis=0)])
    eight = np.concatenate([signals[:3], magnitudes[:1], signals[3:], magnitudes[1:]])
    four = np.stack([eight.mean(1), eight.std(1), eight.min(1), eight.max(1)], 1)
    spectra = np.abs(np.fft.rfft(magnitudes - magnitudes.mean(1, keepdims=True), axis=1))
    return np.concatenate([four.ravel(), spectra.argmax(1) * RATE_HZ / signals.shape[1]])
