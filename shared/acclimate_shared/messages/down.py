"""What a hub may say: what it has committed, commands, what a cohort shall run, certificates.

A command only points at what the author signed; it is void after ``expires_s`` and answered in the device's next state.
"""

from typing import Annotated, Literal

from msgspec import Meta

from acclimate_shared.messages import fields as f
from acclimate_shared.messages import limits
from acclimate_shared.messages.up import Part


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


class PointAt(Part, frozen=True, kw_only=True, tag="point-at"):
    """Fetch this release, which the signed metadata list, and let it enter the contest."""

    rollout: f.Name
    wave: f.Count
    attempt: f.Count
    release: f.Digest
    expires_s: f.Time


class SwitchSlot(Part, frozen=True, kw_only=True, tag="switch-slot"):
    """Serve the base model of the other slot, if it is this one: no download, within a minute."""

    rollout: f.NoName = ""
    attempt: f.Count
    release: f.Digest
    reason: f.Reason
    expires_s: f.Time


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
    """What the devices of a cohort shall run; a device belongs to a wave if hash(salt, device) < percent.

    Attributes:
        release: digest of a release that the signed metadata list.
        fallback: digest to return to when ``state`` is ``aborted``.
        timestamp: version of the signed metadata that the release is in.
    """

    rollout: f.Name
    state: Literal["running", "paused", "aborted", "done"]
    wave: f.Count
    attempt: f.Count
    salt: f.MessageId
    percent: f.Percent
    release: f.Digest
    fallback: f.NoDigest = ""
    timestamp: f.Count


Command = PointAt | SwitchSlot | Rebirth | Certificate
