"""A recording is what the live source says, written when the labels have matured."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from acclimate_device.sources import Rejects, open_source
from acclimate_device.sources.host import HostSource, Snapshot
from acclimate_tools.record import Row, record


def machine() -> HostSource:
    """Return a source of a machine that rests for 3 periods and then works, on a clock that sleep moves."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def snapshot(now_s: float) -> Snapshot:
        busy = max(0.0, now_s - 1.5)
        cpu = {"user": busy, "system": 0.0, "idle": now_s - busy}
        return Snapshot(time_s=now_s, cpu=cpu, cores=(), levels={"load1": 0.5}, counters={})

    return HostSource(clock=lambda: now[0], sleep=sleep, snapshot=snapshot, period_s=0.5, horizon_s=1.0)


def test_a_recording_can_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "r.csv.gz"
    assert record(machine(), path, events=6) == 4
    source = open_source(str(path), label="cpu_ahead", ignore=("timestamp",), rejects=Rejects())
    events = list(source)
    source.close()
    assert source.columns == ["cpu_user", "cpu_system", "cpu_iowait", "cpu_use", "cpu_max_core", "load1"]
    assert [event.values["timestamp"] for event in events] == ["0.5", "1.0", "1.5", "2.0"]
    assert [(event.values["cpu_use"], event.label) for event in events] == [
        ("0.0", "idle"), ("0.0", "busy"), ("0.0", "full"), ("100.0", "full"),
    ]  # fmt: skip


def test_stopping_keeps_what_was_written(tmp_path: Path) -> None:
    def stopped(rows: Iterable[Row]) -> Iterator[Row]:
        yield next(iter(rows))
        raise KeyboardInterrupt

    path = tmp_path / "r.csv.gz"
    assert record(machine(), path, events=6, watch=stopped) == 1
    source = open_source(str(path), label="cpu_ahead", rejects=Rejects())
    assert [event.label for event in source] == ["idle"]
    source.close()
