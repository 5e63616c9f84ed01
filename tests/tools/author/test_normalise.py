"""The torch normaliser beside its numpy twin, forgetting included."""

import numpy as np
import pytest
import torch

from acclimate_shared.normaliser import NormaliserState
from acclimate_tools.author.normalise import CLIP, advance, normalise


@pytest.mark.parametrize("forgetting", [1.0, 0.9])
def test_advance_equals_the_twin(forgetting: float) -> None:
    rng = np.random.default_rng(0)
    twin = NormaliserState.zeros(3)
    state = {name: torch.from_numpy(np.array(array)) for name, array in twin.tensors().items()}
    for rows in (1, 4, 9):
        x = rng.standard_normal((rows, 3)) * np.array([1e-9, 1.0, 1e20])
        x[rng.random(x.shape) < 0.3] = np.nan
        w = rng.choice([0.0, 1.0, 3.0], rows).astype(np.float32)
        twin = twin.advance(x, w, forgetting=forgetting)
        factor = torch.tensor(forgetting, dtype=torch.float64)
        state = advance(state, torch.from_numpy(x), torch.from_numpy(w), factor)
    for name, expected in twin.tensors().items():
        np.testing.assert_allclose(state[name].numpy(), expected, rtol=1e-12, atol=1e-300)


def test_missing_is_the_mean_and_outliers_are_held() -> None:
    state = {
        "norm_count": torch.tensor([4.0]).double(),
        "norm_mean": torch.tensor([10.0]).double(),
        "norm_m2": torch.tensor([16.0]).double(),
    }
    z = normalise(state, torch.tensor([[float("nan")], [12.0], [1e30], [-1e30]], dtype=torch.float64))
    assert z[:, 0].tolist() == [0.0, 1.0, CLIP, -CLIP]
