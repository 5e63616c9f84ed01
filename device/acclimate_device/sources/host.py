"""This machine's own telemetry, with a label that nature supplies: how busy the processor turns out to be.

Every period two snapshots of counters become one row of rates and levels. The label of a row is the class of the mean
processor use over the HORIZON_S seconds after it, so it is known only then: a real delayed label, without labelling.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import psutil

from acclimate_device.natural import NaturalLabels, Rule
from acclimate_device.sources.event import Event

PERIOD_S = 0.5
HORIZON_S = 5.0
LEVELS = ((5.0, "idle"), (30.0, "light"), (70.0, "busy"))  # percent of all cores below which a level applies
HIGHEST = "full"
KIB = 1024.0
MIB = KIB * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Counters and levels at one moment; times in seconds, sizes in bytes.

    Attributes:
        time_s: monotonic clock.
        cpu: seconds spent per mode, all cores together.
        cores: (busy seconds, all seconds) of each core.
        levels: values that are what they are: load, memory, processes, temperature.
        counters: values that only ever grow: bytes, operations, switches.
    """

    time_s: float
    cpu: Mapping[str, float]
    cores: tuple[tuple[float, float], ...]
    levels: Mapping[str, float]
    counters: Mapping[str, float]


def take_snapshot(now_s: float) -> Snapshot:
    """Read this machine's counters."""
    cpu = _own_times(psutil.cpu_times()._asdict())
    cores = [_own_times(core._asdict()) for core in psutil.cpu_times(percpu=True)]
    memory, disk, network, switches = (
        psutil.virtual_memory(),
        psutil.disk_io_counters(),
        psutil.net_io_counters(),
        psutil.cpu_stats(),
    )
    levels = {
        "load1": psutil.getloadavg()[0],
        "mem_used_percent": memory.percent,
        "mem_cached_mib": getattr(memory, "cached", 0) / MIB,
        "swap_percent": psutil.swap_memory().percent,
        "processes": float(len(psutil.pids())),
        **_temperature(),
    }
    counters = {
        "disk_read_kibps": disk.read_bytes / KIB if disk else 0.0,
        "disk_write_kibps": disk.write_bytes / KIB if disk else 0.0,
        "disk_iops": float(disk.read_count + disk.write_count) if disk else 0.0,
        "net_recv_kibps": network.bytes_recv / KIB if network else 0.0,
        "net_sent_kibps": network.bytes_sent / KIB if network else 0.0,
        "context_switches_ps": float(switches.ctx_switches),
        "interrupts_ps": float(switches.interrupts),
    }
    busy = tuple((sum(core.values()) - _resting(core), sum(core.values())) for core in cores)
    return Snapshot(time_s=now_s, cpu=cpu, cores=busy, levels=levels, counters=counters)


def _own_times(times: Mapping[str, float]) -> dict[str, float]:
    """Leave out what virtual machines spent: the kernel counts it as user time already."""
    return {mode: seconds for mode, seconds in times.items() if mode not in {"guest", "guest_nice"}}


def _resting(times: Mapping[str, float]) -> float:
    return times["idle"] + times.get("iowait", 0.0)


def _temperature() -> dict[str, float]:
    read = getattr(psutil, "sensors_temperatures", None)
    found = read() if read else {}
    values = [sensor.current for sensors in found.values() for sensor in sensors if sensor.current is not None]
    return {"temperature_c": max(values)} if values else {}


def features_between(previous: Snapshot, current: Snapshot) -> dict[str, float]:
    """Return one row of features from two successive snapshots: percent, per second, and levels."""
    seconds = max(current.time_s - previous.time_s, 1e-6)
    spent = {mode: max(0.0, current.cpu[mode] - previous.cpu.get(mode, 0.0)) for mode in current.cpu}
    total = sum(spent.values()) or 1.0
    cores = [
        100.0 * (now[0] - then[0]) / (now[1] - then[1])
        for then, now in zip(previous.cores, current.cores, strict=False)
        if now[1] > then[1]
    ]
    row = {
        "cpu_user": 100.0 * (spent["user"] + spent.get("nice", 0.0)) / total,
        "cpu_system": 100.0 * spent["system"] / total,
        "cpu_iowait": 100.0 * spent.get("iowait", 0.0) / total,
        "cpu_use": 100.0 * (total - _resting(spent)) / total,
        "cpu_max_core": min(100.0, max(cores, default=0.0)),
    }
    row |= current.levels
    for name, value in current.counters.items():
        row[name] = max(0.0, value - previous.counters.get(name, value)) / seconds
    return {name: round(value, 3) for name, value in row.items()}


def level(cpu_use: float) -> str:
    """Return the class of a mean processor use in percent."""
    return next((name for bound, name in LEVELS if cpu_use < bound), HIGHEST)


@dataclass(frozen=True, slots=True)
class Matured:
    """A label that has become known: of which row, and which."""

    row: int
    label: str


class HostSource:
    """Live rows of this machine and the labels that mature with them."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        snapshot: Callable[[float], Snapshot] = take_snapshot,
        period_s: float = PERIOD_S,
        horizon_s: float = HORIZON_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take the machine as arguments, so that a test can be one.

        Args:
            clock: monotonic seconds.
            sleep: waits for seconds.
            snapshot: reads the counters.
            period_s: seconds between two rows.
            horizon_s: seconds over which the label looks ahead.
            now: seconds since 1970.
        """
        self._clock, self._sleep, self._snapshot, self._now = clock, sleep, snapshot, now
        self.period_s = period_s
        self.horizon_rows = max(1, round(horizon_s / period_s))

    @property
    def rule(self) -> Rule:
        """How later rows label earlier ones; rows that were missed, as in a sleep, leave a row without a label."""
        return Rule(
            kind="mean",
            column="cpu_use",
            span_s=self.horizon_rows * self.period_s,
            tolerance_s=self.period_s,
            levels=LEVELS,
            highest=HIGHEST,
        )

    def __iter__(self) -> Iterator[tuple[Event, list[Matured]]]:
        """Yield for ever each new row with the labels that are known now that it has come."""
        labels = NaturalLabels(self.rule)
        for event in self.events():
            known = labels.see(str(event.row), "", event.row * self.period_s, event.values)
            yield event, [Matured(int(name), str(label)) for name, label in known]

    def events(self) -> Iterator[Event]:
        """Yield each new row for ever; event times are whole periods, since a clock's would jitter."""
        previous = self._snapshot(self._clock())
        due = self._clock()
        row, tick = 0, 0
        while True:
            due += self.period_s
            self._sleep(max(0.0, due - self._clock()))
            due = max(due, self._clock() - self.period_s)  # after a suspend, do not race to catch up
            current = self._snapshot(self._clock())
            features = features_between(previous, current)
            previous = current
            row, tick = row + 1, max(tick + 1, round(self._now() / self.period_s))
            yield Event(row, features, None, "", tick * self.period_s)
