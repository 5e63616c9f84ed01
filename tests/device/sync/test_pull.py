import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from acclimate_device.sync.chunks import ChunkStore
from acclimate_device.sync.pull import PullLimits, PullReport, pull
from acclimate_shared.bundle import describe
from acclimate_shared.errors import LinkError
from acclimate_shared.release import CHUNK_BYTES
from tests.bundles import bundle_bytes
from tests.device.sync.conftest import Record
from tests.device.sync.links import FakeLink

SMALL = bundle_bytes(rows=60_000)  # 8 chunks
MIDDLE = bundle_bytes(rows=500_000)  # 4 MB: 62 chunks
LARGE_ROWS = 1_048_000  # 8 MiB: 128 chunks


def fetched(folder: Path, link: FakeLink, limits: PullLimits | None = None) -> PullReport:
    with ChunkStore(folder, describe(link.data, "1.0")) as store:
        report = pull(store, link, clock=link.clock, limits=limits)
        assert store.finish().read_bytes() == link.data
    return report


@pytest.mark.slow
def test_eight_mib_at_80_ms(tmp_path: Path) -> None:
    report = fetched(tmp_path, FakeLink(bundle_bytes(rows=LARGE_ROWS)))
    assert report.fetched == report.requests == 128
    assert report.seconds <= 1.0
    one_by_one = PullLimits(window_min=1, window_max=1)
    slow = fetched(tmp_path / "1", FakeLink(bundle_bytes(rows=LARGE_ROWS)), one_by_one)
    assert slow.seconds > 10  # what the window is for


def test_a_slow_link_is_kept_busy_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    link = FakeLink(MIDDLE, trip_s=0.3, bytes_s=200e3)
    report = fetched(tmp_path, link)
    assert report.seconds <= 1.3 * (len(MIDDLE) / 200e3)
    assert report.repeats <= 8


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    loss=st.floats(0, 0.4),
    twice=st.floats(0, 0.5),
    jitter=st.floats(0, 1),
    forged=st.floats(0, 0.2),
    seed=st.integers(),
)
@example(loss=0.39473505954180255, twice=0.4389255807611471, jitter=1.0, forged=0.07433820712806809, seed=263193847)
@example(loss=0.18548144109400466, twice=0.08867491082015322, jitter=1.0, forged=0.12586616926618582, seed=350018102)
def test_whatever_the_link_does_the_bundle_arrives(
    tmp_path_factory: pytest.TempPathFactory, loss: float, twice: float, jitter: float, forged: float, seed: int
) -> None:
    link = FakeLink(SMALL, loss=loss, twice=twice, jitter_s=jitter, forged=forged, seed=seed)
    report = fetched(tmp_path_factory.mktemp("b"), link, PullLimits(max_wrong=1000, stall_s=600))
    assert report.fetched == 8


def test_loss_of_a_twentieth_costs_little(tmp_path: Path) -> None:
    report = fetched(tmp_path, FakeLink(MIDDLE, trip_s=0.3, loss=0.05, seed=1))
    assert report.requests <= 1.15 * 62
    assert report.seconds <= 6


def test_a_cut_link_loses_nothing(tmp_path: Path) -> None:
    link = FakeLink(SMALL, cut_after=3)
    with ChunkStore(tmp_path, describe(SMALL, "1.0")) as store, pytest.raises(LinkError, match="cut"):
        pull(store, link, clock=link.clock)
    again = FakeLink(SMALL)
    assert fetched(tmp_path, again).fetched == 5
    assert not set(again.served) & set(link.served)


def test_gives_up_on_silence(tmp_path: Path) -> None:
    link = FakeLink(SMALL, loss=1.0)
    with ChunkStore(tmp_path, describe(SMALL, "1.0")) as store, pytest.raises(LinkError, match="for a while"):
        pull(store, link, clock=link.clock)
    assert 60 <= link.now_s <= 80


def test_slow_retrieval(tmp_path: Path) -> None:
    """A chunk before each stall, for ever: patience ends by the rate."""
    link = FakeLink(MIDDLE, bytes_s=CHUNK_BYTES / 50)
    with ChunkStore(tmp_path, describe(MIDDLE, "1.0")) as store, pytest.raises(LinkError, match="too slowly"):
        pull(store, link, clock=link.clock)
    assert link.now_s <= 200


def test_gives_up_on_lies_and_stores_none(tmp_path: Path) -> None:
    link = FakeLink(SMALL, forged=1.0)
    with ChunkStore(tmp_path, describe(SMALL, "1.0")) as store:
        with pytest.raises(LinkError, match="not what was signed"):
            pull(store, link, clock=link.clock)
        assert len(store.missing) == 8
    assert sum(link.served.values()) == 17


class RealLink:
    """A thread that answers each request after 80 ms of real time."""

    def __init__(self, data: bytes, trip_s: float) -> None:
        self._data, self._trip_s = data, trip_s
        self._asked: Queue[tuple[float, int] | None] = Queue()
        self._answers: Queue[tuple[int, bytes]] = Queue()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def request(self, digest: str, indexes: Sequence[int]) -> None:
        del digest
        for index in indexes:
            self._asked.put((time.monotonic() + self._trip_s, index))

    def receive(self, timeout_s: float) -> tuple[int, bytes] | None:
        try:
            return self._answers.get(timeout=timeout_s)
        except Empty:
            return None

    def stop(self) -> None:
        self._asked.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            time.sleep(max(0.0, asked[0] - time.monotonic()))
            self._answers.put((asked[1], self._data[asked[1] * CHUNK_BYTES : (asked[1] + 1) * CHUNK_BYTES]))


@pytest.mark.long
def test_eight_mib_at_80_ms_of_real_time(tmp_path: Path, record: Record) -> None:
    data = bundle_bytes(rows=LARGE_ROWS)
    link = RealLink(data, 0.08)
    with ChunkStore(tmp_path, describe(data, "1.0")) as store:
        report = pull(store, link, clock=time.monotonic)
        assert store.finish().read_bytes() == data
    link.stop()
    record("delivery", "seconds for 8 MiB at 80 ms, real time", round(report.seconds, 3))
    assert report.seconds <= 3.0
