"""Carries the outbox to the hub: a window under way, sent again when the hub says nothing, ever more seldom.

A message under way that is not acknowledged in time means that the hub, or what was said, is lost; then only the oldest
one is sent again, at growing intervals, until any acknowledgement comes. So a hub that is away for a month, behind a
broker that is not, costs little; and when it is back, everything goes on.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from acclimate_device.sync.outbox import Outbox
from acclimate_device.sync.wire import Link
from acclimate_shared.messages.down import Ack


@dataclass(slots=True)
class _Under:
    """Way: when each place of the outbox was sent, how often the hub was asked in vain, when it is asked again."""

    sent_s: dict[int, float] = field(default_factory=dict)
    silent: int = 0
    again_s: float = 0.0


class Courier:
    """Sends the messages of one outbox; used by one thread."""

    def __init__(self, link: Link, outbox: Outbox, topic: str, clock: Callable[[], float], rng: random.Random) -> None:
        """Send over a link to a topic; ``clock`` in monotonic seconds."""
        self._link, self._outbox, self._topic, self._clock, self._rng = link, outbox, topic, clock, rng
        self._under = _Under()

    def connected(self) -> None:
        """Forget what was under way: the connection is new."""
        self._under = _Under()

    def acknowledged(self, ack: Ack) -> None:
        """Take the word of the hub.

        Raises:
            StateError: the disk refuses.
        """
        self._outbox.acknowledged(ack)
        if self._under.silent:
            self._under = _Under()  # what was sent into the silence is sent again

    def send(self) -> None:
        """Send what is due.

        Raises:
            LinkError: there is no connection.
            StateError: the disk refuses.
        """
        now_s, under, limits = self._clock(), self._under, self._outbox.limits
        rows = self._outbox.window()
        under.sent_s = {row.place: under.sent_s[row.place] for row in rows if row.place in under.sent_s}
        oldest_s = min(under.sent_s.values(), default=now_s)
        if not under.silent and now_s - oldest_s < limits.again_s:
            due = [row for row in rows if row.place not in under.sent_s]
        elif now_s >= under.again_s:
            due = rows[:1]
            under.silent += 1
            wait_s = min(limits.again_s * 2.0 ** min(under.silent, 30), limits.longest_again_s)
            under.again_s = now_s + wait_s * self._rng.uniform(0.5, 1.0)
        else:
            return
        for row in due:
            self._link.publish(self._topic, row.body)
            under.sent_s[row.place] = now_s
