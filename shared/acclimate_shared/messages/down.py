"""What a hub may say: what it has committed, commands, what a cohort shall run, certificates.

A command only points at what the author signed; it is void after ``expires_s`` and answered in the device's next state.
"""

from typing import Annotated

from msgspec import Meta

from acclimate_shared.messages import fields as f
from acclimate_shared.messages import limits
from acclimate_shared.messages.up import Part
from acclimate_shared.waves import Action, Stage, in_wave


class Range(Part, frozen=True, array_like=True):
    """Sequence numbers from ``first`` to ``last``, both included."""

    first: f.Sequence
    last: f.Sequence

    def __post_init__(self) -> None:
        """Refuse an empty range.

        Raises:
            ValueError: that is so.
        """
        if self.last < self.first:
            raise ValueError("the last is not before the first")


class Ack(Part, frozen=True, kw_only=True, tag="ack"):
    """The hub has committed these; the device may forget them. Each acknowledgement stands alone."""

    acked: f.BootId
    ranges: Annotated[tuple[Range, ...], Meta(min_length=1, max_length=limits.MAX_RANGES)]


class SwitchSlot(Part, frozen=True, kw_only=True, tag="switch-slot"):
    """Answer with the model of before, which is in the other slot: no download, within a minute.

    Attributes:
        rollout: that has ended, its ``number`` and the ``revision`` of the document that says so, too.
        digest: of the base to answer with.
    """

    rollout: f.Name
    number: f.Count
    revision: f.Count
    digest: f.Digest
    reason: f.Reason
    expires_s: f.Time

    @property
    def order(self) -> tuple[int, int]:
        """See `Desired.order`."""
        return self.number, self.revision


class Rebirth(Part, frozen=True, kw_only=True, tag="rebirth"):
    """Publish the state again: the hub has lost or never had it."""

    expires_s: f.Time


class Certificate(Part, frozen=True, kw_only=True, tag="certificate"):
    """The next certificate of a device, with the chain up to the hub's own."""

    certificate: f.Pem
    chain: f.Pem
    renew_s: f.Time


class EnrolResponse(Part, frozen=True, kw_only=True, tag="enrolled"):
    """The first certificate of a device and the cohort that it is in, or why there is none."""

    device: f.Device
    cohort: f.NoName = ""
    certificate: f.NoPem = ""
    chain: f.NoPem = ""
    renew_s: f.Time = 0.0
    refused: f.NoReason = ""

    def __post_init__(self) -> None:
        """Refuse an answer that is neither.

        Raises:
            ValueError: that is so.
        """
        if bool(self.refused) == bool(self.certificate):
            raise ValueError("an enrolment ends with a certificate or a reason")


class Desired(Part, frozen=True, kw_only=True, tag="desired"):
    """What a rollout wants of one cohort at this moment; retained, so that who comes later hears it, too.

    Attributes:
        rollout: Its id; ``number``: its place among the rollouts of the tenant; ``revision``: of this document.
        action: See `Action`.
        digest: SHA-256 of the new base, in hex; ``previous``: of the model to return to, or `waves.NO_BASE`.
        salt: For `in_wave`.
        attempt: A device that failed tries again when this is larger than the attempt that failed; from 1.
        shadow: Percent of the cohort that has the base in shadow; ``serve``: that is served by it.
        warmup_labels: Labels to learn before the first that is scored.
        probation_s: Seconds that a device must have been served by the base before it says "running".
        block_s: Seconds of a time block of evidence.
        cohort: Whom it is for.
    """

    rollout: f.Name
    number: f.Count
    revision: f.Count
    action: Action
    digest: f.Digest
    previous: f.Digest
    salt: f.Name
    attempt: f.Count
    shadow: f.Percent
    serve: f.Percent
    warmup_labels: f.Count
    probation_s: f.Seconds
    block_s: f.Seconds
    cohort: f.NoName = ""

    @property
    def order(self) -> tuple[int, int]:
        """What says which of two documents is the later."""
        return self.number, self.revision

    def asks(self, device: str) -> Stage | None:
        """Return what the device is a member of, SERVE before SHADOW, whatever the action is; None: of nothing."""
        if in_wave(self.salt, device, self.serve):
            return Stage.SERVE
        return Stage.SHADOW if in_wave(self.salt, device, self.shadow) else None

    def answering(self, device: str) -> str:
        """Return the digest of the base that is to answer on the device."""
        return self.digest if self.action is not Action.RETURN and self.asks(device) is Stage.SERVE else self.previous


Command = SwitchSlot | Rebirth | Certificate
