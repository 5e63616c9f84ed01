"""What ``acclimate run`` learns from: this machine's telemetry, JSON lines from a pipe, readings on topics."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import BinaryIO

from acclimate_device.local.broker import Broker, link_to
from acclimate_device.local.topics import check_filters
from acclimate_device.natural import Rule
from acclimate_device.schema import Column
from acclimate_device.sources.event import Event
from acclimate_device.sources.host import HORIZON_S, HostSource, take_snapshot
from acclimate_device.sources.live import LiveSource, Readings
from acclimate_device.sources.rejects import Rejects
from acclimate_device.sources.topics import TopicSource
from acclimate_device.steady import Steady

LOOK_S = 0.2  # between two looks whether the run was stopped, while nothing comes


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Events, and how they get their labels.

    Attributes:
        events: yields each event, or None while nothing comes; the argument says whether to stop.
        rule: how later events label earlier ones; None where rows bring their own labels.
        columns: of the features, None to take those of the first event.
        title: of what is asked, for people.
        rejects: counts rows that cannot be used.
        clock: of events that bring no time of their own.
        say: told what was predicted for the event that was yielded last.
    """

    events: Callable[[Callable[[], bool]], Iterator[Event | None]]
    rule: Rule | None = None
    columns: tuple[Column, ...] | None = None
    title: str
    rejects: Rejects = field(default_factory=Rejects)
    clock: Steady = field(default_factory=Steady)
    say: Callable[[Mapping[str, object]], object] = bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What the fields of a live row are for.

    Attributes:
        label: field with the label, where rows bring their own.
        rule: how later rows label earlier ones.
        key: field that groups rows.
        time_column: field with the event time, seconds since 1970.
        ignore: fields that are no features.
    """

    label: str | None = None
    rule: Rule | None = None
    key: str | None = None
    time_column: str | None = None
    ignore: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is asked, for people."""
        return f"{self.rule.column}, by rule: {self.rule.kind}" if self.rule else f"{self.label}"

    def readings(self, rejects: Rejects, now: Callable[[], float]) -> Readings:
        """Return what makes events of such rows.

        Args:
            rejects: counts rows that cannot be used.
            now: seconds since 1970, for rows that do not tell.
        """
        return Readings(
            rejects=rejects, label=self.label, key=self.key, time_column=self.time_column, ignore=self.ignore, now=now
        )


def host_feed(period_s: float, horizon_s: float = HORIZON_S) -> Feed:
    """Return this machine's telemetry.

    Args:
        period_s: seconds between two rows.
        horizon_s: seconds over which the label looks ahead.
    """
    now = Steady()
    source = HostSource(clock=time.monotonic, sleep=time.sleep, period_s=period_s, horizon_s=horizon_s, now=now)
    seconds = source.horizon_rows * period_s
    title = f"how busy will this machine be over the next {seconds:g} seconds?"
    return Feed(events=lambda _: source.events(), rule=source.rule, columns=columns_of_host(), title=title, clock=now)


def columns_of_host() -> tuple[Column, ...]:
    """Return the columns of this machine's telemetry."""
    names = [*("cpu_user", "cpu_system", "cpu_iowait", "cpu_use", "cpu_max_core")]
    snapshot = take_snapshot(0.0)
    names += [*snapshot.levels, *snapshot.counters]
    return tuple(Column(name=name, kind="number") for name in names)


def lines_feed(file: BinaryIO, fields: Fields) -> Feed:
    """Return the JSON lines of a stream.

    Args:
        file: of lines.
        fields: what they are for.
    """
    rejects, now = Rejects(), Steady()
    source = LiveSource(file, fields.readings(rejects, now))
    return Feed(
        events=lambda stop: patient(source.events(), stop),
        rule=fields.rule,
        title=fields.title,
        rejects=rejects,
        clock=now,
    )


def topics_feed(broker: Broker, filters: Sequence[str], fields: Fields, topic_field: str | None = None) -> Feed:
    """Return the readings on topics of a broker on this device.

    Only rows that say when they were made may wait at the broker while nobody runs: what comes late would else count
    as new.

    Args:
        broker: to reach.
        filters: of the topics.
        fields: what they are for.
        topic_field: field that takes the topic.

    Raises:
        UsageError: see ``check_filters``.
    """
    topics = check_filters(filters, broker.prefix)
    rejects, link, now = Rejects(), link_to(broker, lasting=fields.time_column is not None), Steady()
    readings = fields.readings(rejects, now)
    source = TopicSource(link, topics, readings, prefix=broker.prefix, topic_field=topic_field)
    return Feed(events=source.events, rule=fields.rule, title=fields.title, rejects=rejects, clock=now, say=source.say)


def patient(items: Iterator[Event], stop: Callable[[], bool]) -> Iterator[Event | None]:
    """Yield items as they come, and None now and then while none comes; end with them, or when it is to stop.

    Whoever waits for a pipe cannot hear anything else, so a thread waits. It is at most one item ahead.
    """
    queue: Queue[Event | BaseException | None] = Queue(1)

    def wait() -> None:
        try:
            for item in items:
                queue.put(item)
            queue.put(None)
        except BaseException as exc:  # noqa: BLE001 - handed to the one who asked
            queue.put(exc)

    threading.Thread(target=wait, name="acclimate-source", daemon=True).start()
    while not stop():
        try:
            found = queue.get(timeout=LOOK_S)
        except Empty:
            yield None
            continue
        if found is None:
            return
        if isinstance(found, BaseException):
            raise found
        yield found
