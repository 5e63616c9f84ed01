"""torch in its eager mode: the network of our ``mlp`` (two hidden layers of 64, Adam at 0.001), trained batch by batch.

The model's name ends in the batch: ``mlp-32`` takes as many rows a step as ours does in a replay.
"""

import io
from collections.abc import Sequence

import numpy as np

from acclimate_tools.bench.peers.recording import Array, Block, Facts
from acclimate_tools.bench.peers.scaling import Scaler

HIDDEN, RATE, CLIP = 64, 1e-3, 5.0


class TorchPeer:
    """One network; rows are (width,) float64, one-hot, scaled by running moments and clipped as ours are."""

    def __init__(self, model: str, facts: Facts, seed: int) -> None:
        """Start with nothing learned."""
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.batch = int(model.split("-")[1])
        self._torch, self._facts = torch, facts
        self._scaler, self._target = Scaler(facts.width), Scaler(1)
        nn, outputs = torch.nn, len(facts.classes) or 1
        self._network = nn.Sequential(
            nn.Linear(facts.width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)
        )
        self._optimiser = torch.optim.Adam(self._network.parameters(), lr=RATE, fused=True)

    def convert(self, block: Block) -> list[Array]:
        """Return each row as one array."""
        return list(block.one_hot(self._facts))

    def _inputs(self, rows: Sequence[Array]) -> Array:
        return np.clip(self._scaler.scaled(np.stack(rows)), -CLIP, CLIP).astype(np.float32)

    def predict(self, rows: Sequence[Array]) -> list[float | None]:
        """Answer each row, once anything was learned."""
        if not self._scaler.count:
            return [None] * len(rows)
        with self._torch.inference_mode():
            out = self._network(self._torch.from_numpy(self._inputs(rows))).numpy()
        if self._facts.task == "classification":
            return list(map(float, out.argmax(1)))
        return list(map(float, self._target.restored(out.astype(np.float64))[:, 0]))

    def learn(self, rows: Sequence[Array], targets: Array) -> None:
        """Take one step of Adam on the rows."""
        torch = self._torch
        self._scaler.learn(np.stack(rows))
        x = torch.from_numpy(self._inputs(rows))
        self._optimiser.zero_grad()
        if self._facts.task == "classification":
            loss = torch.nn.functional.cross_entropy(self._network(x), torch.from_numpy(targets))
        else:
            self._target.learn(targets[:, None])
            y = torch.from_numpy(self._target.scaled(targets[:, None]).astype(np.float32))
            loss = torch.nn.functional.huber_loss(self._network(x), y)
        loss.backward()
        self._optimiser.step()

    def state_bytes(self) -> int:
        """Return the size of the saved parameters and moments."""
        file = io.BytesIO()
        self._torch.save([self._network.state_dict(), self._optimiser.state_dict()], file)
        return len(file.getvalue())


def build(model: str, facts: Facts, seed: int) -> TorchPeer:
    """Return a fresh peer."""
    return TorchPeer(model, facts, seed)
