"""The document of the slots of base models, ``slots.json``: what is in each of them, and how far it has come."""

from typing import Literal

import msgspec

from acclimate_shared.errors import CorruptStateError

MAX_BYTES = 64 * 1024  # of the document

SlotState = Literal["shadow", "trial", "confirmed", "failed"]


class Slot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A base model on this device.

    Attributes:
        digest: of the bundle that it came in, 64 hex digits; ``model`` and ``version`` as it was signed.
        state: see ``slots``.
        tries: trials that ended badly.
        running: whether a trial has begun and not ended.
        reason: why it failed, or why the last trial did.
        since_s: when the state was reached, seconds since 1970.
        heard: row of the last word of the contest that was counted.
        on: base whose local learning a second candidate of this one takes over, see ``rebase``; "" for none.
        before: candidate that served when the hub let it serve, and serves again when it has to go.
    """

    digest: str
    model: str
    version: str
    state: SlotState = "shadow"
    tries: int = 0
    running: bool = False
    reason: str = ""
    since_s: float = 0.0
    heard: int = 0
    on: str = ""
    before: str = ""


class Slots(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both slots; ``current`` was confirmed, ``other`` is on its way there or was current before."""

    format: int = 1
    current: Slot | None = None
    other: Slot | None = None

    def of(self, digest: str) -> Slot | None:
        """Return the slot that holds a base."""
        return next((slot for slot in (self.current, self.other) if slot and slot.digest == digest), None)

    def put(self, slot: Slot) -> "Slots":
        """Return the slots with this one in the place of the base that it holds."""
        place = "current" if self.current and self.current.digest == slot.digest else "other"
        return msgspec.structs.replace(self, **{place: slot})

    @property
    def usable(self) -> list[Slot]:
        """What may be loaded, the current one first."""
        return [slot for slot in (self.current, self.other) if slot and slot.state != "failed"]


def parsed(data: bytes) -> Slots:
    """Return the slots of a document.

    Raises:
        CorruptStateError: it is none.
    """
    try:
        found = msgspec.json.decode(data, type=Slots)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise CorruptStateError(f"not a document of slots: {exc}", field="slots") from exc
    if found.format != 1:
        raise CorruptStateError("a document of slots of another format", field="format", value=found.format)
    return found
