"""Transports of chunks that delay, lose, repeat, shuffle or forge, on a clock that only they move."""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from acclimate_shared.errors import LinkError
from acclimate_shared.release import CHUNK_BYTES


@dataclass
class FakeLink:
    """A link of given round trip and rate; the clock is virtual.

    Attributes:
        now_s: What its clock says.
        served: How often each chunk was sent.
    """

    data: bytes
    trip_s: float = 0.08
    bytes_s: float = 100e6
    loss: float = 0.0
    twice: float = 0.0
    jitter_s: float = 0.0
    forged: float = 0.0
    seed: int = 0
    cut_after: int = 1 << 30  # chunks, then the connection is gone
    now_s: float = 0.0
    busy_s: float = 0.0
    waits: int = 0
    served: dict[int, int] = field(default_factory=dict)
    wire: list[tuple[float, int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)  # noqa: S311 - not for secrets

    def clock(self) -> float:
        return self.now_s

    def request(self, digest: str, indexes: Sequence[int]) -> None:
        assert len(digest) == 64
        for index in indexes:
            chunk = self.data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
            if self._rng.random() < self.forged:
                chunk = self._rng.choice([chunk[:-1], b"", chunk + b"x", bytes(len(chunk)), bytes(4 * CHUNK_BYTES)])
            self.busy_s = max(self.busy_s, self.now_s) + len(chunk) / self.bytes_s
            for _ in range(2 if self._rng.random() < self.twice else 1):
                if self._rng.random() >= self.loss:
                    at = self.busy_s + self.trip_s + self._rng.random() * self.jitter_s
                    heapq.heappush(self.wire, (at, index, chunk))

    def receive(self, timeout_s: float) -> tuple[int, bytes] | None:
        self.waits += 1
        assert self.waits < 100_000, "the clock stands still"
        if sum(self.served.values()) >= self.cut_after:
            raise LinkError("cut")
        if self.wire and self.wire[0][0] <= self.now_s + timeout_s:
            at, index, chunk = heapq.heappop(self.wire)
            self.now_s = max(self.now_s, at)
            self.served[index] = self.served.get(index, 0) + 1
            return index, chunk
        self.now_s += timeout_s
        return None
