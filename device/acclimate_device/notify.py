"""What a service manager is told: ready, alive, stopping (``sd_notify(3)``, over a datagram socket, no library).

The watchdog is fed for each event that the loop has handled, and only while the learner is not stuck: a thread that
learns and never ends one batch would otherwise go unnoticed until its queue is full. Nothing is sent where nobody
asked to be told.

Example:
    >>> sent = []
    >>> pulse = Pulse(sent.append, watchdog_s=60.0, clock=iter([0.0, 5.0, 31.0]).__next__, stuck_s=lambda: 0.0)
    >>> pulse.beat(); pulse.beat(); pulse.beat()
    >>> sent
    ['WATCHDOG=1', 'WATCHDOG=1']
"""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

MOST_BYTES: Final = 4096  # of one message
BEATS: Final = 3  # in a watchdog's time
MICRO: Final = 1_000_000  # microseconds a second

logger = logging.getLogger(__name__)


class Notifier:
    """Sends to the socket that ``NOTIFY_SOCKET`` names."""

    def __init__(self, address: str | None) -> None:
        """Take the path of the socket; a leading ``@`` is of Linux's abstract names; None for nobody."""
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._failed = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Notifier":
        """Return the notifier that the service manager asks for."""
        return cls(environment.get("NOTIFY_SOCKET") or None)

    @property
    def wanted(self) -> bool:
        """Whether somebody asked to be told."""
        return self._address is not None

    def tell(self, *lines: str) -> None:
        """Send lines such as ``READY=1`` in one message; a manager that is gone is warned of once."""
        if self._address is None:
            return
        data = "\n".join(lines).encode()[:MOST_BYTES]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
                link.connect(self._address)
                link.send(data)
        except OSError as exc:
            if not self._failed:
                logger.warning("the service manager cannot be told: %s", exc.strerror)
            self._failed = True


def watchdog_s(environment: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """Return the seconds within which the manager must hear something, None if it does not wait.

    Args:
        environment: ``WATCHDOG_USEC``, and perhaps ``WATCHDOG_PID``: whom it is meant for.
        pid: of this process, for tests.
    """
    text, meant = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    mine = not meant or meant == str(os.getpid() if pid is None else pid)
    return int(text) / MICRO if mine and text.isdigit() and int(text) > 0 else None


class Pulse:
    """Feeds a watchdog from the loop that answers and learns."""

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        watchdog_s: float | None,
        clock: Callable[[], float],
        stuck_s: Callable[[], float],
    ) -> None:
        """Feed nobody yet.

        Args:
            tell: sends one line.
            watchdog_s: seconds within which the manager must hear something; None feeds nobody.
            clock: monotonic seconds.
            stuck_s: how long the learner has been at one batch, in seconds.
        """
        self._tell, self._watchdog_s, self._clock, self._stuck_s = tell, watchdog_s, clock, stuck_s
        self._last: float | None = None

    def beat(self) -> None:
        """Note that the loop has handled an event; tells the manager if it is time, and if the learner gets on too."""
        if self._watchdog_s is None:
            return
        now = self._clock()
        if self._last is not None and now - self._last < self._watchdog_s / BEATS:
            return
        if self._stuck_s() >= self._watchdog_s:
            return
        self._last = now
        self._tell("WATCHDOG=1")
