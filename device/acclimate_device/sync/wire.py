"""The seam between what a device says and how it travels: ``Link``, and what passes through it.

What comes over a link waits until ``receive`` takes it; nobody is called back from a foreign thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a broker is and who we are there.

    Attributes:
        host: name that is in the broker's certificate; ``port`` beside it.
        client: id of the client.
        lasting: whether the broker keeps our session while we are away.
        newer: whether MQTT 5 is tried first.
    """

    host: str
    port: int
    client: str
    lasting: bool = True
    newer: bool = False


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
    """A message; ``retained`` if the broker had kept it, so that it is not new."""

    topic: str
    payload: bytes
    retained: bool = False


Happening = Connected | Lost | Arrived


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the broker."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us, retained, when we are gone."""

    topic: str
    payload: bytes


class Link(Protocol):
    """A connection to a broker that comes back by itself. ``tend``, ``receive`` and ``close`` are for one thread."""

    @property
    def connected(self) -> bool:
        """Whether messages may be sent now."""

    def tend(self) -> None:
        """Look after the connection: give it up where it hangs, make a new one where one is due. Never waits."""

    def receive(self, timeout_s: float) -> Happening | None:
        """Return the next thing that happened; None if nothing does in time."""

    def wake(self) -> None:
        """Let ``receive`` return at once."""

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
        pending: messages that the broker has not acknowledged, or that have not been sent.
    """

    alive: bool
    connected: bool
    begun_s: float
    beat_s: float
    heard_s: float
    asked_s: float | None = None
    pending: int = 0
