"""The seam between what a device says and how it travels: ``Link``, and two rules that every link keeps.

What comes over a link waits until ``receive`` takes it; nobody is called back from a foreign thread. ``pause_s`` says
how long to wait between two attempts to connect, ``verdict`` when a connection is given up although nothing has said
that it is gone.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from acclimate_device.sync.limits import LinkLimits

KEEPALIVES = 1.5  # after so many of them without a word, a connection is gone (MQTT 3.1.1, §3.1.2.10)


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has let us in; ``kept`` says whether it has kept our session."""

    kept: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection, or an attempt to make one, has ended."""

    reason: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message."""

    topic: str
    payload: bytes


Happening = Connected | Lost | Arrived


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us, retained, when we are gone."""

    topic: str
    payload: bytes


class Link(Protocol):
    """A connection to a broker that comes back by itself. ``publish`` is for any thread, the rest for one."""

    @property
    def connected(self) -> bool:
        """Whether messages may be sent now."""

    def tend(self) -> None:
        """Look after the connection: give it up where it hangs, make a new one where one is due. Never waits."""

    def receive(self, timeout_s: float) -> Happening | None:
        """Return the next thing that happened; None if nothing does in time."""

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retained: bool = False) -> None:
        """Send a message, without waiting.

        Raises:
            LinkError: there is no connection.
        """

    def subscribe(self, topics: Sequence[str], *, qos: int = 1) -> None:
        """Ask for topics, without waiting.

        Raises:
            LinkError: there is no connection.
        """

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Ask no longer.

        Raises:
            LinkError: there is no connection.
        """

    def renew(self) -> None:
        """Connect again at once, with new credentials."""

    def close(self) -> None:
        """Say goodbye and end."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is known of a connection from outside its thread; times on one monotonic clock, seconds.

    Attributes:
        alive: whether its thread runs.
        connected: whether the broker has let it in.
        begun_s: when it was begun.
        beat_s: when its thread last went round.
        heard_s: when anything last came from the broker.
        asked_s: when the oldest message was sent that the broker has not acknowledged; None if there is none.
    """

    alive: bool
    connected: bool
    begun_s: float
    beat_s: float
    heard_s: float
    asked_s: float | None = None


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
