"""A link that looks after one connection at a time: gives it up when it hangs, and makes another after a pause.

The connection itself is a ``Session``, which runs in a thread of its own. One that hangs is abandoned: what it may
still say is not heard, nothing waits for its thread, and the process goes on.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from acclimate_device.sync.limits import LinkLimits
from acclimate_device.sync.wire import Arrived, Connected, Happening, Health, Lost
from acclimate_shared.errors import AcclimateError, LinkError

logger = logging.getLogger(__name__)

KEEPALIVES = 1.5  # after so many of them without a word, a connection is gone (MQTT 3.1.1, §3.1.2.10)


class Session(Protocol):
    """One connection. Nothing here waits, but for ``leave``."""

    def start(self) -> None:
        """Begin to connect."""

    def health(self) -> Health:
        """Return what is known of it."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retained: bool) -> None:
        """Send a message."""

    def subscribe(self, topics: Sequence[str], *, qos: int) -> None:
        """Ask for topics."""

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Ask no longer."""

    def leave(self, within_s: float) -> None:
        """Say goodbye once the broker has acknowledged what was sent, and wait for that at most so long."""

    def abandon(self) -> None:
        """End without a word."""


Tell = Callable[[Session, Happening], None]


def pause_s(attempt: int, limits: LinkLimits, rng: random.Random) -> float:
    """Return how long to wait before an attempt: random, up to a bound that doubles ("full jitter").

    M. Brooker, "Exponential Backoff And Jitter", 2015: of the variants, this one makes the least work for a server that
    a whole fleet has lost at once.

    Args:
        attempt: failures in a row, from 1.
        limits: of the link.
        rng: draws.
    """
    bound = limits.pause_s * 2.0 ** min(attempt - 1, 30)
    return rng.uniform(0.0, min(bound, limits.longest_pause_s))


def verdict(health: Health, now_s: float, limits: LinkLimits) -> str:
    """Return why a connection is to be given up, empty if it is not.

    The library's own word (``is_connected``, a callback) is not asked: it stays silent when its thread has died, hangs
    in a callback or in the system, or when the network swallows everything without an error.
    """
    if not health.alive:
        return "its thread has died"
    if not health.connected:
        return "it takes too long to connect" if now_s - health.begun_s > limits.connect_s else ""
    if now_s - health.beat_s > limits.beat_s:
        return "its thread hangs"
    if health.asked_s is not None and now_s - health.asked_s > limits.answer_s:
        return "the broker acknowledges nothing"
    if now_s - health.heard_s > KEEPALIVES * limits.keepalive_s:
        return "the broker is silent"
    return ""


class WatchedLink:
    """See ``wire.Link`` and the module.

    Attributes:
        given_up: why connections were abandoned, the newest last.
        dropped: messages that came while too much waited to be taken.
    """

    def __init__(
        self,
        begin: Callable[[Tell, int], Session],
        limits: LinkLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """Connect at the first ``tend``.

        Args:
            begin: makes a session that tells what happens, from its own thread; given how many attempts there were
                since one succeeded, this one included.
            limits: of the link.
            clock: monotonic seconds, that of the sessions.
            rng: of the pauses.
        """
        self._make, self._limits, self._clock = begin, limits, clock
        self._rng = rng or random.Random()  # noqa: S311 - only spreads the load
        self._happened: queue.SimpleQueue[Happening | None] = queue.SimpleQueue()
        self._waiting = self._waiting_bytes = self.dropped = 0
        self._woken = False
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._failures, self._attempts, self._due_s = 0, 0, float("-inf")
        self.given_up: list[str] = []

    @property
    def connected(self) -> bool:
        """See ``Link``."""
        session = self._session
        return session is not None and session.health().connected

    @property
    def pending(self) -> int:
        """Messages that the broker has not acknowledged yet; what was given up with a connection does not count."""
        session = self._session
        return session.health().pending if session else 0

    def tend(self) -> None:
        """See ``Link``."""
        session = self._session
        if session is None:
            if self._clock() >= self._due_s:
                self._begin()
            return
        why = verdict(session.health(), self._clock(), self._limits)
        if why:
            logger.warning("the connection is given up: %s", why)
            self.given_up = [*self.given_up[-9:], why]
            self._drop(session, why)

    def _begin(self) -> None:
        self._attempts += 1
        try:
            session = self._make(self._heard, self._attempts)
        except (OSError, ValueError, AcclimateError) as exc:
            logger.warning("no connection can be begun: %s", exc)
            self._failed()
            return
        self._session = session
        session.start()

    def _failed(self) -> None:
        self._failures += 1
        self._due_s = self._clock() + pause_s(self._failures, self._limits, self._rng)

    def _drop(self, session: Session, reason: str) -> None:
        self._heard(session, Lost(reason))
        session.abandon()

    def _heard(self, session: Session, happening: Happening) -> None:
        """Take what a session tells; of one that was given up, nothing."""
        with self._lock:
            if session is not self._session:
                return
            if isinstance(happening, Connected):
                self._attempts = 0
            if isinstance(happening, Lost):
                self._session = None
                if self._attempts == 0 and self._clock() - session.health().begun_s > self._limits.answer_s:
                    self._failures = 0  # it was of use; one that is ended at once is no better than none
                self._failed()
            if isinstance(happening, Arrived) and not self._room(len(happening.payload)):
                return
        self._happened.put(happening)

    def _room(self, size: int) -> bool:
        """Take room for a message, or drop it. Only messages are dropped: they come again, or somebody else's do."""
        limits = self._limits
        if self._waiting >= limits.waiting or self._waiting_bytes + size > limits.waiting_bytes:
            if self.dropped == 0:
                logger.warning("more comes than is taken: messages are dropped")
            self.dropped += 1
            return False
        self._waiting, self._waiting_bytes = self._waiting + 1, self._waiting_bytes + size
        return True

    def receive(self, timeout_s: float) -> Happening | None:
        """See ``Link``."""
        try:
            found = self._happened.get(timeout=timeout_s) if timeout_s > 0 else self._happened.get_nowait()
        except queue.Empty:
            return None
        if found is None:
            self._woken = False
        if isinstance(found, Arrived):
            with self._lock:
                self._waiting, self._waiting_bytes = self._waiting - 1, self._waiting_bytes - len(found.payload)
        return found

    def wake(self) -> None:
        """See ``Link``."""
        if not self._woken:  # once is enough, whoever else wakes
            self._woken = True
            self._happened.put(None)

    def _now(self) -> Session:
        session = self._session
        if session is None or not session.health().connected:
            raise LinkError("there is no connection to the broker", field="link", remedy="it is tried again")
        return session

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retained: bool = False) -> None:
        """See ``Link``."""
        self._now().publish(topic, payload, qos=qos, retained=retained)

    def subscribe(self, topics: Sequence[str], *, qos: int = 1) -> None:
        """See ``Link``."""
        self._now().subscribe(topics, qos=qos)

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """See ``Link``."""
        self._now().unsubscribe(topics)

    def renew(self) -> None:
        """See ``Link``."""
        session = self._session
        if session is not None:
            self._drop(session, "the credentials are new")
        self._failures, self._due_s = 0, float("-inf")

    def close(self) -> None:
        """See ``Link``."""
        with self._lock:
            session, self._session = self._session, None
            self._due_s = float("inf")
        if session is None:
            return
        if session.health().connected:
            session.leave(self._limits.leave_s)
        session.abandon()
