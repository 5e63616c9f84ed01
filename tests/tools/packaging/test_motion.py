import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_tools.packaging.motion import ACTIVITIES, COLUMNS, RATE_HZ, WINDOW, statistics, windows


def test_the_same_seed_is_the_same_people() -> None:
    x, y = windows(100, 3)
    again, labels = windows(100, 3)
    assert x.shape == (100, len(COLUMNS))
    assert np.isfinite(x).all()
    assert (x == again).all()
    assert (y == labels).all()
    assert (windows(100, 4)[0] != x).any()
    assert (windows(60, 3)[0] == x[:60]).all()


@pytest.mark.slow
def test_everything_is_done_and_the_faster_the_harder() -> None:
    x, y = windows(2000, 0)
    shaken = [np.median(x[y == done, COLUMNS.index("acc_mag_std")]) for done in range(len(ACTIVITIES))]
    names = list(ACTIVITIES)
    assert [names[at] for at in np.argsort(shaken)] == ["still", "cycling", "walking", "running"]
    assert (np.diff(y) == 0).mean() > 0.7  # who walks goes on walking


@given(st.floats(1, 20), st.integers(2, 30))
def test_statistics_of_a_known_wave(size: float, cycles: int) -> None:
    signals = np.zeros((6, WINDOW))
    signals[2] = 100 + size * np.sin(2 * np.pi * cycles * np.arange(WINDOW) / WINDOW)
    found = dict(zip(COLUMNS, statistics(signals), strict=True))
    assert found["acc_z_mean"] == pytest.approx(100)
    assert found["acc_z_std"] == pytest.approx(size / np.sqrt(2))
    assert found["acc_mag_max"] == found["acc_z_max"]
    assert found["acc_mag_domfreq"] == pytest.approx(cycles * RATE_HZ / WINDOW)
    assert found["gyro_x_std"] == 0
