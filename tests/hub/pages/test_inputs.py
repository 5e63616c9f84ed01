import math

import numpy as np
import pytest

from acclimate_hub.pages.inputs import MAJOR, chance, index


def test_the_index_is_nothing_without_change_and_grows_with_it() -> None:
    assert index((10, 20, 30), (100, 200, 300)) == pytest.approx(0.0, abs=1e-3)
    assert index((10, 20, 30), (0, 0, 0)) == 0.0
    assert MAJOR < index((30, 20, 10), (100, 200, 300)) < index((60, 0, 0), (100, 200, 300)) < math.inf


@pytest.mark.parametrize(("bins", "events", "before"), [(2, 40, 10_000), (8, 40, 10_000), (32, 400, 4_000)])
def test_chance_alone_is_hardly_ever_called_a_shift(bins: int, events: int, before: int) -> None:
    rng, shares = np.random.default_rng(3), np.full(bins, 1 / bins)
    found = [index(*(rng.multinomial(n, shares).tolist() for n in (events, before))) for _ in range(2_000)]
    assert np.mean(np.array(found) >= chance(events, before, bins)) <= 0.005
    assert np.mean(np.array(found) >= 0.1 * chance(events, before, bins)) > 0.05  # the bound is not far away
    assert chance(events, 0, bins) == math.inf
