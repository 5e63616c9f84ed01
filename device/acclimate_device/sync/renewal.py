"""The next certificate: asked for at half of the life of this one, over the connection that this one opened.

A new key is made and kept before it is asked for; the present certificate is used until the next one is there, so no
message is lost. A request whose answer got lost is made again with the same key, and the hub answers the same.
"""

import logging
from collections.abc import Callable

import msgspec

from acclimate_device.fleet_rows import FleetRows
from acclimate_device.sync import identity
from acclimate_device.sync.identity import Identity
from acclimate_device.sync.limits import RENEW_AGAIN_S
from acclimate_shared.errors import AccessError
from acclimate_shared.messages.down import Certificate
from acclimate_shared.messages.up import Event, Renew

logger = logging.getLogger(__name__)


class Renewal:
    """Knows who the device is, and keeps that up to date.

    Attributes:
        identity: as it is now.
    """

    def __init__(self, rows: FleetRows, who: Identity, now: Callable[[], float]) -> None:
        """Look after an enrolled device's identity; ``now`` in seconds since 1970."""
        self._rows, self.identity, self._now = rows, who, now
        self._asked_s = float("-inf")

    def tend(self, put: Callable[[Event], None]) -> None:
        """Ask for the next certificate if it is time.

        Args:
            put: keeps a message for the hub.

        Raises:
            StateError: the disk refuses.
        """
        who, now_s = self.identity, self._now()
        if now_s < who.renew_s or now_s - self._asked_s < RENEW_AGAIN_S:
            return
        if not who.next_key:
            self._keep(msgspec.structs.replace(who, next_key=identity.new_key()))
        put(Renew(request=identity.request(self.identity.next_key, who.device)))
        self._asked_s = now_s

    def renewed(self, answer: Certificate) -> bool:
        """Take a certificate; return whether it is a new one that was asked for.

        Raises:
            StateError: the disk refuses.
        """
        who = self.identity
        if not who.next_key:
            return False
        try:
            identity.check(answer.certificate, who.next_key, who.device, who.ca)
        except AccessError as exc:
            logger.warning("the next certificate is not used: %s", exc)
            return False
        self._keep(
            msgspec.structs.replace(
                who, certificate=answer.certificate, key=who.next_key, next_key="", renew_s=answer.renew_s
            )
        )
        logger.info("the certificate was renewed")
        return True

    def _keep(self, who: Identity) -> None:
        identity.save(self._rows, who)
        self.identity = who
