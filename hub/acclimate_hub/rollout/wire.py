"""Between what travels and what a rollout is decided on.

Messages of devices become reports, with who says it and in which order; documents are held to what a message may hold.
"""

from typing import Any

import msgspec

from acclimate_shared.errors import InputError
from acclimate_shared.messages.down import Desired
from acclimate_shared.messages.envelope import Envelope
from acclimate_shared.messages.limits import MAX_DESIRED_BYTES
from acclimate_shared.messages.up import RolloutBlock, RolloutReport
from acclimate_shared.rollout_reports import BlockReport, Report

STARTS_DIGITS = 8  # of a boot's name: the starts of the device; then random ones
ENVELOPE_BYTES = 512  # that the envelope of a document takes at most


def heard(envelope: Envelope[Any]) -> Report | BlockReport | None:
    """Return what a device says about a rollout, with who says it and in which order; None: it says something else.

    Raises:
        InputError: If it is out of range.
    """
    body = envelope.body
    who: dict[str, Any] = {
        "device": envelope.sender,
        "boot": int(envelope.boot[:STARTS_DIGITS], 16),
        "seq": envelope.sequence,
    }
    facts: dict[str, Any]
    if isinstance(body, RolloutReport):
        facts = msgspec.structs.asdict(body)
        del facts["chunks"], facts["chunks_total"]  # for people who watch, not for a decision
        return Report(**who, **facts).checked()
    if isinstance(body, RolloutBlock):
        facts = msgspec.structs.asdict(body)
        return BlockReport(**who, **facts).checked()
    return None


def checked(document: Desired) -> Desired:
    """Return a document that may travel.

    Raises:
        InputError: If a field is out of range, or the document too long.
    """
    try:
        found = msgspec.convert(msgspec.to_builtins(document), Desired)
    except msgspec.ValidationError as exc:
        remedy = "give names of letters, digits, dots and hyphens, and digests of 64 hex digits"
        raise InputError(f"this cannot be told to devices: {exc}", field="rollout", remedy=remedy) from exc
    size = len(msgspec.msgpack.encode(found))
    if size > MAX_DESIRED_BYTES - ENVELOPE_BYTES:
        raise InputError("the document is too long", field="bytes", value=size, remedy="shorten names and salt")
    return found
