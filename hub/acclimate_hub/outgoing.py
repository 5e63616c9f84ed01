"""Messages of the hub as topics and bytes: an envelope with the hub's boot and a sequence that only grows."""

import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from acclimate_shared.messages.envelope import Envelope, encode, message_id
from acclimate_shared.messages.topics import Kind, build


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is to be published, with QoS 1."""

    topic: str
    payload: bytes
    retained: bool = False


class Sender:
    """Packs messages of one life of the hub."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Use a clock (seconds since 1970)."""
        self._now = now
        self._boot = secrets.token_hex(8)
        self._sequence = itertools.count(1)

    def pack(self, tenant: str, kind: Kind, to: str, body: Any, **values: str) -> Outgoing:  # noqa: ANN401 - any of the closed set
        """Return a message for a device or a cohort.

        Args:
            tenant: whose.
            kind: of topic.
            to: device or cohort.
            body: that this kind of topic carries.
            values: variables of the topic.

        Raises:
            MessageError: the topic does not carry it.
            UsageError: a value cannot be in a topic.
        """
        envelope = Envelope(
            id=message_id(),
            time_s=self._now(),
            sender=to,
            boot=self._boot,
            sequence=next(self._sequence),
            body=body,
        )
        return Outgoing(build(tenant, kind, **values), encode(envelope, kind))
