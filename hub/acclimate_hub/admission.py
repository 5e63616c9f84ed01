"""Enrolment over the broker: a request of a new device becomes an answer; guesses are slowed down and written down."""

import logging

from acclimate_hub import limits
from acclimate_hub.hub import Hub
from acclimate_hub.identity import enrolment, tokens
from acclimate_hub.identity.rates import Rates
from acclimate_hub.outgoing import Outgoing, Sender
from acclimate_hub.store import audit, devices
from acclimate_shared.errors import AccessError, MessageError, RateError, UsageError
from acclimate_shared.messages.down import EnrolResponse
from acclimate_shared.messages.envelope import decode
from acclimate_shared.messages.topics import Kind, parse
from acclimate_shared.messages.up import EnrolRequest

logger = logging.getLogger(__name__)


class Admission:
    """Answers requests for enrolment."""

    def __init__(self, hub: Hub) -> None:
        """Answer for a hub."""
        self._hub = hub
        self._sender = Sender(hub.now)
        self._claims, self._refused = Rates(limits.CLAIM_RATE), Rates(limits.REFUSED_RATE)

    def answer(self, topic: str, payload: bytes) -> Outgoing:
        """Enrol a device, or say in a word why not.

        Raises:
            MessageError: this is no request for enrolment; it gets no answer.
            LinkError: the database does not answer.
        """
        place, envelope = parse(topic), decode(payload, Kind.ENROL_REQUEST)
        nonce, device, body = place.values["nonce"], envelope.sender, envelope.body
        try:
            enrolment.check_device(device)
        except UsageError as exc:
            raise MessageError("the sender cannot be a device", field="sender", value=device) from exc
        try:
            response = self._enrol(place.tenant, device, body)
        except RateError:
            response = EnrolResponse(device=device, refused="too-often")
        except AccessError as exc:
            self._note(place.tenant, device, exc)
            response = EnrolResponse(device=device, refused=exc.field if "-" in exc.field else "refused")
        return self._sender.pack(place.tenant, Kind.ENROL_RESPONSE, device, response, nonce=nonce)

    def _enrol(self, tenant: str, device: str, body: EnrolRequest) -> EnrolResponse:
        now_s = self._hub.now()
        self._claims.check(tokens.parse(body.claim).id, now_s)
        authority = self._hub.authority(tenant)
        with self._hub.database.write() as connection:
            issued = enrolment.enrol(connection, authority, device, (body.claim, body.request), now_s)
            cohort = str(devices.get(connection, tenant, device).cohort)
        return EnrolResponse(
            device=device,
            cohort=cohort,
            certificate=issued.pem,
            chain=authority.certificate,
            renew_s=enrolment.renew_s(issued),
        )

    def _note(self, tenant: str, device: str, exc: AccessError) -> None:
        """Write refusals down, but not so many that the log itself becomes the harm."""
        logger.warning("%s may not enrol: %s", device, exc)
        if self._refused.allows(tenant, self._hub.now()):
            act = audit.Act(actor=f"device:{device}", action="device.refused", object=device, detail={"why": exc.field})
            with self._hub.database.write() as connection:
                audit.record(connection, tenant, act, self._hub.now())
