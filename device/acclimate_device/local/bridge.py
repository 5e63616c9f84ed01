"""Requests that come over topics of a broker on this device, answered by the very handler of the socket.

One thread looks after the link and shares requests out; a few answer. The requests of a client stay in order, since
one thread has them all, and who floods fills its own queue: what finds no room there is refused as ``rate``, to be
asked again. What cannot even be told so (the link itself is full, the broker takes no more answers) is counted, and
said in ``status`` and in the log. MQTT gives a request at least once; a label that comes twice is learned once.

A request that the broker had retained is old, and is not answered. While the broker is away nothing is answered here;
the socket goes on.
"""

import logging
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any

from acclimate_device.local import topics
from acclimate_device.local.broker import CountedLink
from acclimate_device.local.limits import BrokerLimits, Limits
from acclimate_device.local.service import Service
from acclimate_device.sync.wire import Arrived, Connected, Happening, Lost
from acclimate_shared.errors import LinkError, MessageError, RateError

logger = logging.getLogger(__name__)

TURN_S = 0.5  # between two looks at the link while nothing comes
LOOK_S = 1.0  # between two looks at what was lost
LOSSES = ("refused_full", "dropped", "unsent")

_Asked = tuple[str, str, bytes]  # operation, client, payload


class Bridge:
    """Answers requests of topics from ``start`` to ``close``."""

    def __init__(
        self,
        service: Service,
        link: CountedLink,
        prefix: str = topics.PREFIX,
        *,
        limits: Limits | None = None,
        broker: BrokerLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Answer nothing yet.

        Args:
            service: that answers.
            link: to the broker; closed at the end.
            prefix: of the topics.
            limits: of a request; None for the default.
            broker: of what waits; None for the default.
            clock: monotonic seconds.
        """
        self._service, self._link, self._prefix, self._clock = service, link, prefix, clock
        self._limits, self._broker = limits or Limits(), broker or BrokerLimits()
        self._queues: list[Queue[_Asked]] = [Queue(self._broker.waiting) for _ in range(self._broker.workers)]
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._counts = {"requests": 0, "refused_full": 0, "unsent": 0, "not_requests": 0, "retained": 0}
        self._reported, self._due_s = 0, float("-inf")
        self._stopped = threading.Event()
        self._pump = threading.Thread(target=self._run, name="acclimate-broker", daemon=True)
        self._workers = [
            threading.Thread(target=self._work, args=[queue], name="acclimate-topics", daemon=True)
            for queue in self._queues
        ]
        service.facts.append(lambda: {"broker": self.facts()})

    def start(self) -> None:
        """Connect and answer; where there is no broker, it is tried again until there is one."""
        for thread in (self._pump, *self._workers):
            thread.start()

    def facts(self) -> dict[str, Any]:
        """Return how it fares, for ``status``: counts of requests, and of what was lost on the way."""
        with self._lock:
            counts = dict(self._counts)
        return {"connected": self._link.connected, **counts, "dropped": self._link.dropped}

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    # -- what comes ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.turn(TURN_S)
            except Exception:
                logger.exception("a fault of the link to the broker; the agent goes on")
                self._stopped.wait(TURN_S)

    def turn(self, wait_s: float) -> None:
        """Look after the link and take the next thing that happens.

        Args:
            wait_s: for something to happen.
        """
        self._link.tend()
        happening = self._link.receive(wait_s)
        if happening is not None:
            self._take(happening)
        self._report()

    def _take(self, happening: Happening) -> None:
        match happening:
            case Connected():
                try:
                    self._link.subscribe(topics.requests(self._prefix))
                    self._link.publish(topics.online(self._prefix), b"true", retained=True)
                except LinkError:
                    return  # it is gone already, and will be told
                logger.info("the broker of this device has let us in")
            case Lost():
                logger.info("the broker of this device has gone; it is tried again")
            case Arrived():
                self._share(happening)

    def _share(self, message: Arrived) -> None:
        """Give a request to the thread that has its client, or refuse it."""
        asked = topics.asked(self._prefix, message.topic)
        if asked is None or message.retained:
            self._count("not_requests" if asked is None else "retained")
            return
        op, client = asked
        self._count("requests")
        if len(message.payload) >= self._limits.line_bytes:
            remedy = f"send at most {self._limits.line_bytes - 1} bytes"
            self._say(
                client, self._service.refuse(MessageError("the request is too long", field="line", remedy=remedy))
            )
            return
        if not self._room(len(message.payload)):
            self._refuse(client, message.payload)
            return
        try:
            self._queues[zlib.crc32(client.encode()) % len(self._queues)].put_nowait((op, client, message.payload))
        except Full:
            self._room(-len(message.payload))
            self._refuse(client, message.payload)

    def _room(self, size: int) -> bool:
        """Take room for a request among all that wait, or give it back."""
        with self._lock:
            if size > 0 and self._waiting_bytes + size > self._broker.waiting_bytes:
                return False
            self._waiting_bytes += size
        return True

    def _refuse(self, client: str, payload: bytes) -> None:
        self._count("refused_full")
        error = RateError("too many requests wait", field="requests", remedy="wait for answers, then ask again")
        self._say(client, self._service.refuse(error, payload))

    # -- what is said -------------------------------------------------------------------------------------------

    def _work(self, queue: Queue[_Asked]) -> None:
        while True:
            try:
                op, client, payload = queue.get(timeout=TURN_S)
            except Empty:
                if self._stopped.is_set():
                    return
                continue
            self._room(-len(payload))
            self._say(client, self._service.answer(payload, op))

    def _say(self, client: str, line: bytes) -> None:
        """Send an answer; where the broker takes none, count it."""
        try:
            if self._link.pending < self._broker.pending:
                self._link.publish(topics.answer(self._prefix, client), line.rstrip(b"\n"))
                return
        except LinkError:
            pass
        self._count("unsent")

    def _report(self) -> None:
        """Say what was lost, once in a while."""
        if self._clock() < self._due_s:
            return
        facts = self.facts()
        found = {name: facts[name] for name in LOSSES}
        told = sum(found.values()) > self._reported
        if told:
            logger.warning("more is asked than can be answered", extra={"figures": found})
        self._reported, self._due_s = sum(found.values()), self._clock() + (self._broker.report_s if told else LOOK_S)

    def close(self) -> None:
        """Take nothing more, answer what is at hand, and say goodbye."""
        self._stopped.set()
        self._link.wake()
        if self._pump.is_alive():
            self._pump.join()
        until_s = time.monotonic() + self._broker.drain_s
        for thread in self._workers:
            if thread.is_alive():
                thread.join(max(0.0, until_s - time.monotonic()))
        with suppress(LinkError):  # then the broker says it for us
            self._link.publish(topics.online(self._prefix), b"false", retained=True)
        self._link.close()
