"""What a device hears: acknowledgements, wishes, commands, certificates, what was fetched; and who is told of it."""

import logging
from collections.abc import Callable

from acclimate_device.sync.courier import Courier
from acclimate_device.sync.fetch import Fetching
from acclimate_device.sync.renewal import Renewal
from acclimate_device.sync.twin import Twin
from acclimate_device.sync.wire import Link
from acclimate_shared.errors import MessageError
from acclimate_shared.messages.down import Ack, Certificate, Command, Desired, Rebirth, SwitchSlot
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind, parse

logger = logging.getLogger(__name__)


class Hearing:
    """Passes on what came over a link; used by one thread."""

    def __init__(
        self,
        twin: Twin,
        courier: Courier,
        renewal: Renewal,
        fetching: Fetching,
        link: Link,
        now: Callable[[], float],
    ) -> None:
        """Pass on to these; ``now`` in seconds since 1970."""
        self._twin, self._courier, self._renewal = twin, courier, renewal
        self._fetching, self._link, self._now = fetching, link, now
        self._wishes: list[Callable[[Desired], None]] = []
        self._commands: list[Callable[[Command], None]] = []

    def on_desired(self, hook: Callable[[Desired], None]) -> None:
        """Tell ``hook`` what is wanted, now if it is known."""
        self._wishes.append(hook)
        if self._twin.desired is not None:
            self._call(hook, self._twin.desired)

    def on_command(self, hook: Callable[[Command], None]) -> None:
        """Tell ``hook`` of commands."""
        self._commands.append(hook)

    def take(self, text: str, payload: bytes) -> None:
        """Take a message.

        Raises:
            MessageError: it is none that may come here.
            StateError: the disk refuses.
        """
        topic = parse(text)
        if topic.kind in {Kind.REPAIR, Kind.TUF}:
            self._fetching.arrived(topic, payload)
        elif topic.kind not in {Kind.ACK, Kind.COMMAND, Kind.DESIRED}:
            raise MessageError("nothing is expected here", field="topic", value=text)
        elif payload:  # an empty one says that a retained message was taken away
            self._heed(decode(payload, topic.kind).body)

    def _heed(self, body: Ack | Desired | Command) -> None:
        if isinstance(body, Ack):
            self._courier.acknowledged(body)
        elif isinstance(body, Desired):
            if self._twin.wants(body):
                for hook in self._wishes:
                    self._call(hook, body)
        elif isinstance(body, Certificate):
            if self._renewal.renewed(body):
                self._link.renew()
        else:
            self._command(body)

    def _command(self, body: SwitchSlot | Rebirth) -> None:
        if body.expires_s < self._now():
            logger.info("a command has expired")
            return
        if isinstance(body, Rebirth):
            self._twin.reported = None
        for hook in self._commands:
            self._call(hook, body)

    @staticmethod
    def _call(hook: Callable[..., None], body: object) -> None:
        try:
            hook(body)
        except Exception:
            logger.exception("what was asked for could not be begun")
