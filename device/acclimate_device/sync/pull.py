"""Fetch the missing chunks of a bundle: a window of requests under way, timeouts, and limits to patience.

Over MQTT 3.1.1 nothing but our own requests keeps order or pace, so this is a small transport protocol. The window
opens by one with each chunk that arrives, up to 32, and closes by half when one is overdue, down to 8 (additive
increase would be slower to open than most bundles are long). The time to wait follows the measured round trips as in
RFC 6298, and doubles while nothing arrives. Chunks may come in any order, twice, or unasked: each is verified by its
hash, and one that is right is never fetched again.

It gives up with ``LinkError`` when nothing comes for a while, when too little comes for long (slow retrieval), or when
what comes is wrong too often. What is stored stays for the next attempt.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from acclimate_device.sync.chunks import ChunkStore
from acclimate_shared.errors import LinkError

_TICK_S = 0.001  # the shortest wait: rounding may leave a request a hair short of overdue


class ChunkTransport(Protocol):
    """Carries requests for chunks, and chunks. Used by one thread."""

    def request(self, digest: str, indexes: Sequence[int]) -> None:
        """Ask for chunks of a bundle, without waiting.

        Raises:
            LinkError: If there is no connection.
        """

    def receive(self, timeout_s: float) -> tuple[int, bytes] | None:
        """Return the next chunk that has come, with its number; None if none comes in time.

        Raises:
            LinkError: If the connection is gone.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PullLimits:
    """Windows in chunks, times in seconds."""

    window_min: int = 8
    window_max: int = 32
    first_timeout_s: float = 2.0
    timeout_min_s: float = 0.25
    timeout_max_s: float = 15.0
    stall_s: float = 60.0  # without a chunk that is right
    rate_window_s: float = 120.0
    rate_min_bytes_s: float = 2048.0
    max_wrong: int = 16  # chunks that are not what was signed


@dataclass(slots=True, kw_only=True)
class PullReport:
    """What a pull did."""

    fetched: int = 0
    requests: int = 0
    repeats: int = 0  # requests that were overdue and sent again
    wrong: int = 0
    surplus: int = 0  # chunks that were there already
    seconds: float = 0.0


class _Wait:
    """How long to wait for an answer (RFC 6298): smoothed round trip plus four times its variation."""

    def __init__(self, limits: PullLimits) -> None:
        self._limits = limits
        self._mean: float | None = None
        self._spread = 0.0
        self._factor = 1.0

    @property
    def seconds(self) -> float:
        limits = self._limits
        base = limits.first_timeout_s if self._mean is None else self._mean + 4 * self._spread
        return min(max(base, limits.timeout_min_s) * self._factor, limits.timeout_max_s)

    def saw(self, trip_s: float | None) -> None:
        self._factor = 1.0
        if trip_s is None:  # an answer to a repeated request tells nothing (Karn's rule)
            return
        if self._mean is None:
            self._mean, self._spread = trip_s, trip_s / 2
        else:
            self._spread += (abs(trip_s - self._mean) - self._spread) / 4
            self._mean += (trip_s - self._mean) / 8

    def missed(self) -> None:
        self._factor = min(2 * self._factor, 64.0)


class _Pull:
    """One run of ``pull``."""

    def __init__(
        self, store: ChunkStore, transport: ChunkTransport, clock: Callable[[], float], limits: PullLimits
    ) -> None:
        self.report = PullReport()
        self._store, self._transport, self._clock, self._limits = store, transport, clock, limits
        self._queue = deque(store.missing)
        self._wanted = set(self._queue)
        self._sent: dict[int, float] = {}  # when each chunk under way was asked for, oldest first
        self._repeated: set[int] = set()
        self._window = float(limits.window_min)
        self._wait = _Wait(limits)
        self._start = self._progress = self._rate_since = clock()
        self._rate_bytes = 0

    def run(self) -> PullReport:
        while self._wanted:
            self._ask()
            due = next(iter(self._sent.values())) + self._wait.seconds
            got = self._transport.receive(max(_TICK_S, due - self._clock()))
            if got is not None:
                self._take(*got)
            self._repeat_overdue()
            self._check_patience()
        self.report.seconds = self._clock() - self._start
        return self.report

    def _ask(self) -> None:
        batch = []
        while self._queue and len(self._sent) < int(self._window):
            index = self._queue.popleft()
            if index in self._wanted:
                self._sent[index] = self._clock()
                batch.append(index)
        if batch:
            self._transport.request(self._store.listed.digest, batch)
            self.report.requests += len(batch)

    def _take(self, index: int, data: bytes) -> None:
        if not self._store.put(index, data):
            self.report.wrong += 1
            if self.report.wrong > self._limits.max_wrong:
                raise LinkError(
                    "too many chunks are not what was signed", value=self.report.wrong, remedy="ask another"
                )
            if self._sent.pop(index, None) is not None:
                self._repeated.add(index)
                self._queue.append(index)
            return
        if index not in self._wanted:
            self.report.surplus += 1
            return
        self._wanted.remove(index)
        asked = self._sent.pop(index, None)
        now = self._clock()
        self._wait.saw(None if asked is None or index in self._repeated else now - asked)
        self._window = min(self._window + 1, self._limits.window_max)
        self._progress = now
        self._rate_bytes += len(data)
        self.report.fetched += 1

    def _repeat_overdue(self) -> None:
        now, wait = self._clock(), self._wait.seconds
        overdue = [index for index, sent in self._sent.items() if sent + wait <= now]
        if not overdue:
            return
        for index in overdue:
            del self._sent[index]
        self._queue.extendleft(reversed(overdue))
        self._repeated.update(overdue)
        self.report.repeats += len(overdue)
        self._wait.missed()
        self._window = max(self._window / 2, self._limits.window_min)

    def _check_patience(self) -> None:
        now, limits = self._clock(), self._limits
        if now - self._progress > limits.stall_s:
            raise LinkError("no chunk has come for a while", field="stall_s", value=limits.stall_s, remedy="try later")
        if now - self._rate_since >= limits.rate_window_s:
            rate = self._rate_bytes / (now - self._rate_since)
            if rate < limits.rate_min_bytes_s:
                raise LinkError("chunks come too slowly", field="bytes a second", value=rate, remedy="try later")
            self._rate_since, self._rate_bytes = now, 0


def pull(
    store: ChunkStore,
    transport: ChunkTransport,
    *,
    clock: Callable[[], float],
    limits: PullLimits | None = None,
) -> PullReport:
    """Fetch what is missing.

    Args:
        store: Where chunks go.
        transport: Where they come from, not trusted.
        clock: Monotonic seconds.
        limits: Of windows and patience.

    Returns:
        What was done; no chunk is missing then.

    Raises:
        LinkError: If the other side is gone, too slow, or wrong too often; call again later.
        StateError: If the disk refuses.
    """
    return _Pull(store, transport, clock, limits or PullLimits()).run()
