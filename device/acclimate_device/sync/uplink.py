"""The loop that keeps an agent in touch with its hub: measure, take records, send a window, hear what is said.

It runs in a thread of its own and only looks at the agent; whatever goes wrong here is logged, and changes no answer
and no learning. A turn: tend the link, take what has arrived, put new metrics and records into the outbox, send what
may be under way, report the state if it is news, renew the certificate if it is time. Everything that goes out is a
message of the closed set.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Protocol

from acclimate_device.sync.courier import Courier
from acclimate_device.sync.fetch import Chunks, Fetching
from acclimate_device.sync.hearing import Hearing
from acclimate_device.sync.limits import UplinkLimits
from acclimate_device.sync.outbox import Outbox, Source, opened_record
from acclimate_device.sync.renewal import Renewal
from acclimate_device.sync.source import MetadataSource
from acclimate_device.sync.twin import Twin
from acclimate_device.sync.wire import Arrived, Connected, Happening, Link, Lost, Will
from acclimate_shared.errors import AcclimateError, LinkError, MessageError
from acclimate_shared.messages.down import Command, Desired
from acclimate_shared.messages.topics import Kind, build, up
from acclimate_shared.messages.up import Event, Metrics

logger = logging.getLogger(__name__)

AT_ONCE = 256  # happenings that are taken in one turn


class Meter(Protocol):
    """Measures the agent: a ``gauge.Gauge``."""

    def age_s(self) -> float:
        """Return how long ago the window began."""

    def busy(self) -> bool:
        """Whether anything happened in it."""

    def taken(self, outbox_bytes: int) -> Metrics | None:
        """Return the window and begin the next."""


class Uplink:
    """Ties an agent to its hub.

    Attributes:
        twin: what is wanted, and what is reported.
        outbox: what waits for the hub.
        source: the committed lineage.
        device: who we are.
    """

    def __init__(  # noqa: PLR0913 (all by keyword)
        self,
        *,
        link: Link,
        outbox: Outbox,
        twin: Twin,
        renewal: Renewal,
        source: Source,
        meter: Meter,
        limits: UplinkLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        """Tie the parts together; ``start`` or ``turn`` makes it go.

        Args:
            link: to the broker.
            outbox: of the state.
            twin: likewise.
            renewal: of the certificate; knows who we are.
            source: the committed lineage.
            meter: of the agent.
            limits: None for the default.
            clock: monotonic seconds.
            now: seconds since 1970.
            rng: spreads what a fleet would do at once.
        """
        self.link, self.outbox, self.twin, self._renewal = link, outbox, twin, renewal
        self.source, self._meter, self.limits = source, meter, limits or UplinkLimits()
        self._clock = clock
        who = renewal.identity
        self._tenant, self.device = who.tenant, who.device
        self._courier = Courier(link, outbox, up(who.tenant, who.device), clock, rng or random.Random())  # noqa: S311
        self._fetching = Fetching(link, who.tenant, who.device, outbox.packed)
        self._state_s = float("-inf")
        self._hearing = Hearing(twin, self._courier, renewal, self._fetching, link, now)
        self._lines = -1
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # -- for others ---------------------------------------------------------------------------------------------

    def send(self, body: Event) -> None:
        """Keep a message until the hub has committed it; any thread may.

        Raises:
            StateError: the disk refuses.
            MessageError: it breaks a rule.
        """
        self.outbox.put(body)
        self.link.wake()

    def on_desired(self, hook: Callable[[Desired], None]) -> None:
        """Call ``hook`` in the uplink's thread with what the hub wants when it changes; now, if it is known."""
        self._hearing.on_desired(hook)

    def on_command(self, hook: Callable[[Command], None]) -> None:
        """Call ``hook`` in the uplink's thread with each command that has not expired."""
        self._hearing.on_command(hook)

    def chunks(self, digest: str) -> Chunks:
        """Return a transport of the chunks of a bundle, to be closed; for a thread of its own.

        Raises:
            LinkError: there is no connection.
        """
        return self._fetching.open(digest)

    def metadata(self) -> MetadataSource:
        """Return a source of signed metadata; for a thread of its own."""
        return self._fetching

    def will(self) -> Will:
        """Return what the broker says for us when we are gone."""
        return Will(self._topic(Kind.STATE), self.outbox.packed(Kind.STATE, self.twin.state(online=False)))

    # -- the loop -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread = threading.Thread(target=self._run, name="acclimate-uplink", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.turn(self.limits.turn_s)
            except AcclimateError as exc:
                logger.warning("the link to the hub has to wait: %s", exc)
                self._stop.wait(self.limits.turn_s)
            except Exception:
                logger.exception("a fault of the link to the hub; the agent goes on")
                self._stop.wait(self.limits.turn_s)

    def close(self) -> None:
        """Say goodbye and end; what waits, waits for the next start."""
        self._stop.set()
        self.link.wake()
        if self._thread:
            self._thread.join()
            self._thread = None
        if self.link.connected:
            state = self.outbox.packed(Kind.STATE, self.twin.state(online=False))
            self.link.publish(self._topic(Kind.STATE), state, retained=True)
        self.link.close()

    def turn(self, wait_s: float) -> None:
        """Do everything that is due once; wait at most so long for something to arrive.

        Raises:
            StateError: the disk refuses.
        """
        self.link.tend()
        happening = self.link.receive(wait_s)
        for _ in range(AT_ONCE):
            if happening is None:
                break
            self._take(happening)
            happening = self.link.receive(0.0)
        self._measure()
        if self.link.connected:
            try:
                self._say()
            except LinkError:
                logger.info("the connection was lost while something was said")

    def _measure(self) -> None:
        age_s, limits = self._meter.age_s(), self.limits
        if age_s >= limits.idle_s or (age_s >= limits.bucket_s and self._meter.busy()):
            window = self._meter.taken(self.outbox.size()[1])
            if window is not None:
                self.outbox.put(window)

    def _say(self) -> None:
        self._stand()
        self._renewal.tend(self.outbox.put)
        self.outbox.take(self.source)
        self._courier.send()
        news = self.twin.news()
        late = self._clock() - self._state_s >= self.limits.state_s
        if news == "weighty" or (news == "small" and late):
            self._birth()

    def _stand(self) -> None:
        """Note where the lineage stands."""
        lines = self.source.lines()
        if lines not in {0, self._lines}:
            self._lines, newest = lines, self.source.lineage_after(lines - 1, 1)
            for _, line in newest:
                record = opened_record(line)
                self.twin.stands(version=record.version, head=record.digest, schema=record.schema)

    def _birth(self) -> None:
        state = self.twin.state()
        self.link.publish(self._topic(Kind.STATE), self.outbox.packed(Kind.STATE, state), retained=True)
        self.twin.reported, self._state_s = state, self._clock()

    # -- hearing ------------------------------------------------------------------------------------------------

    def _take(self, happening: Happening) -> None:
        match happening:
            case Connected():
                self._connected()
            case Lost(reason):
                logger.info("the connection to the broker has ended: %s", reason)
            case Arrived(topic, payload):
                try:
                    self._hearing.take(topic, payload)
                except MessageError as exc:
                    logger.warning("a message is discarded: %s", exc)

    def _connected(self) -> None:
        self._courier.connected()
        self.twin.reported = None
        try:
            self.link.subscribe([self._topic(Kind.ACK), self._topic(Kind.COMMAND)])
            cohort = self._renewal.identity.cohort
            self.link.subscribe([build(self._tenant, Kind.DESIRED, cohort=cohort)])
        except LinkError:
            return  # it is gone already, and will be told

    def _topic(self, kind: Kind) -> str:
        return build(self._tenant, kind, device=self.device)
