"""A replay buffer inside the state: a uniform sample of all rows learned so far (Vitter 1985, algorithm R).

The generator is part of the state and of the graph: three rounds of a Lehmer generator modulo 2^31 - 1 over a counter,
in integers far from overflow, so that no random operator is needed and every run repeats.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from acclimate_shared.manifest import TensorSpec

PRIME = 2_147_483_647
MULTIPLIERS = (48_271, 69_621, 39_373)  # full-period multipliers of Park and Miller's generator


def specs(size: int, features: int, y_dtype: str) -> tuple[TensorSpec, ...]:
    """Return the tensors of a buffer of ``size`` rows."""
    kind = "int64" if y_dtype == "int64" else "float64"
    return (
        TensorSpec(name="replay_x", dtype="float64", shape=(size, features), holds_rows=True),
        TensorSpec(name="replay_y", dtype=kind, shape=(size,), holds_rows=True),  # type: ignore[arg-type]
        TensorSpec(name="replay_count", dtype="int64", shape=(1,)),
        TensorSpec(name="replay_draws", dtype="int64", shape=(1,)),
    )


def scramble(counter: Tensor) -> Tensor:
    """Return numbers in 0 .. PRIME - 1 that look independent for successive counters, int64."""
    value = counter % PRIME
    for multiplier in MULTIPLIERS:
        value = (value * multiplier + 12_345) % PRIME
    return value


def draw(state: Mapping[str, Tensor], rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``rows`` remembered rows: x, y, and weights (rows,) float32 that are 0 while the buffer is empty."""
    size = state["replay_x"].shape[0]
    filled = torch.clamp(state["replay_count"], max=size)
    index = scramble(state["replay_draws"] + torch.arange(rows)) % torch.clamp(filled, min=1)
    known = (filled > 0).to(torch.float32) * torch.ones(rows)
    return state["replay_x"][index], state["replay_y"][index], known


def insert(state: Mapping[str, Tensor], x: Tensor, y: Tensor, w: Tensor, drawn: int) -> dict[str, Tensor]:
    """Return the buffer after the rows of a step; rows with ``w == 0`` are not offered.

    Row number t (from 0) takes slot t while there is room, later a random slot of t + 1 if that is inside the buffer;
    of two rows for one slot the later wins, as if they had come one by one.
    """
    size = state["replay_x"].shape[0]
    counted = (w > 0).to(torch.int64)
    number = state["replay_count"] + torch.cumsum(counted, 0) - 1
    random = scramble(number * 7 + 3) % torch.clamp(number + 1, min=1)
    slot = torch.where(number < size, number, random)
    takes = ((slot[:, None] == torch.arange(size)[None]) & (counted[:, None] > 0)).to(torch.int64)
    order = torch.arange(1, x.shape[0] + 1)[:, None] * takes
    writer = order.amax(0)
    source = torch.clamp(writer - 1, min=0)
    return {
        "replay_x": torch.where((writer > 0)[:, None], x[source], state["replay_x"]),
        "replay_y": torch.where(writer > 0, y[source], state["replay_y"]),
        "replay_count": state["replay_count"] + counted.sum(),
        "replay_draws": state["replay_draws"] + drawn,
    }
