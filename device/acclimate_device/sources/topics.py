"""Readings that other programs publish on topics of a broker on this device: a JSON object a message.

A message waits in the link until the run takes it; what finds no room there is dropped, and counted as rows that were
not used. Readings that the broker had retained are old, and left out. While the broker is away nothing comes; where
the session lasts (``local.broker.link_to``), it gives afterwards what it has kept.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from acclimate_device.local import topics
from acclimate_device.local.broker import CountedLink
from acclimate_device.local.limits import BrokerLimits
from acclimate_device.sources.event import Event
from acclimate_device.sources.live import Readings
from acclimate_device.sources.text import MAX_LINE_BYTES, decoded
from acclimate_device.sync.wire import Arrived, Connected, Happening, Lost
from acclimate_shared.errors import InputError, LinkError

logger = logging.getLogger(__name__)

LOOK_S = 0.2  # between two looks whether the run was stopped, while nothing comes


class TopicSource:
    """Readings of some topics; what is predicted for them is told on others.

    Attributes:
        unsaid: predictions that the broker did not take.
    """

    def __init__(
        self,
        link: CountedLink,
        filters: Sequence[str],
        readings: Readings,
        *,
        prefix: str = topics.PREFIX,
        topic_field: str | None = None,
        limits: BrokerLimits | None = None,
    ) -> None:
        """Ask for nothing yet.

        Args:
            link: to the broker; closed at the end.
            filters: of the topics.
            readings: makes events of the messages.
            prefix: of the agent's own topics.
            topic_field: field of a row that takes the topic; None for none.
            limits: None for the default.
        """
        self._link, self._filters, self._readings = link, filters, readings
        self._prefix, self._field, self._limits = prefix, topic_field, limits or BrokerLimits()
        self._topic, self._dropped, self.unsaid = "", 0, 0

    def events(self, stop: Callable[[], bool]) -> Iterator[Event | None]:
        """Yield readings as they come, and None now and then while none comes, until it is to stop.

        Args:
            stop: says so.
        """
        try:
            while not stop():
                self._link.tend()
                happening = self._link.receive(LOOK_S)
                event = self._taken(happening) if happening else None
                self._note_dropped()
                if event is not None or happening is None:
                    yield event
        finally:
            self._tell_online(there=False)
            self._link.close()

    def say(self, told: Mapping[str, object]) -> None:
        """Tell what was predicted for the reading that came last, or count that nobody could be told."""
        try:
            if self._link.pending < self._limits.pending:
                self._link.publish(topics.predictions(self._prefix, self._topic), json.dumps(told).encode())
                return
        except LinkError:
            pass
        self.unsaid += 1

    def _taken(self, happening: Happening) -> Event | None:
        match happening:
            case Connected():
                self._ask()
            case Lost(reason):
                logger.warning("the broker of this device does not answer, it is tried again: %s", reason)
            case Arrived(topic, payload, retained):
                if payload and not retained:
                    self._topic = topic
                    return self._readings.event(_text(payload), {self._field: topic} if self._field else None)
        return None

    def _ask(self) -> None:
        try:
            self._link.subscribe(self._filters)
        except LinkError:
            return  # it is gone already, and will be told
        self._tell_online(there=True)
        logger.info("the broker of this device has let us in")

    def _tell_online(self, *, there: bool) -> None:
        try:
            self._link.publish(topics.online(self._prefix), b"true" if there else b"false", retained=True)
        except LinkError:
            return  # the broker says it for us

    def _note_dropped(self) -> None:
        for _ in range(self._link.dropped - self._dropped):
            self._readings.rejects.add(
                InputError("readings came faster than they are answered", remedy="publish fewer, or use fewer learners")
            )
            self._dropped += 1


def _text(payload: bytes) -> str | InputError:
    if len(payload) > MAX_LINE_BYTES:
        return InputError(f"a message longer than {MAX_LINE_BYTES:,} bytes", remedy="split or drop the row")
    return decoded(payload)
