"""Two halves of a picture: what the hub wants a device to run, and what the device says that it runs, and why not that.

What is wanted is kept, so that a device that starts without a network still knows it. What is reported goes out with
every connection, at once when something of weight changes, and otherwise seldom.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

import acclimate_shared
from acclimate_device.fleet_rows import FleetRows
from acclimate_shared.errors import UsageError
from acclimate_shared.messages.down import Desired
from acclimate_shared.messages.up import State
from acclimate_shared.waves import NO_BASE

FACT = "desired"
_WEIGHTY = ("online", "agent", "cohort", "running", "previous", "schema", "wanted", "differs")


class Twin:
    """What is wanted, and what is.

    Attributes:
        desired: the last that the hub said, None before the first.
        reported: the last that was said to it, None before the first.
    """

    def __init__(self, rows: FleetRows, device: str, cohort: str, memory: Callable[[], int] = lambda: 0) -> None:
        """Begin with what is kept.

        Args:
            rows: of the state.
            device: who we are.
            cohort: of the device.
            memory: bytes that are free for a model.
        """
        self._rows, self._device, self._memory = rows, device, memory
        kept = rows.fact(FACT)
        self.desired: Desired | None = msgspec.msgpack.decode(kept, type=Desired) if kept else None
        self.reported: State | None = None
        self._facts: dict[str, str] = {"cohort": cohort}
        self._compare()

    def wants(self, desired: Desired) -> bool:
        """Take what the hub wants; return whether it is news: a document of before is none."""
        if self.desired is not None and desired.order <= self.desired.order:
            return False
        self._rows.keep(FACT, msgspec.msgpack.encode(desired))
        self.desired = desired
        self._compare()
        return True

    def _compare(self) -> None:
        """Note which base is to answer, and that it does not where that is so; why, is for others to say."""
        wanted = self.desired.answering(self._device) if self.desired else ""
        agree = not wanted or wanted == (self._facts.get("running") or NO_BASE)
        same = wanted == self._facts.get("wanted")
        reason = (same and self._facts.get("differs")) or "not-begun"
        self._note(wanted=wanted, differs="" if agree else reason)

    def runs(self, running: str, previous: str = "") -> None:
        """Note which base model serves, and which is in the other slot; digests, empty for none.

        Raises:
            UsageError: they are none.
        """
        self._note(running=running, previous=previous)
        self._compare()

    def differs(self, reason: str) -> None:
        """Say why what is wanted does not run: words joined by hyphens, such as ``signature-refused``.

        Raises:
            UsageError: it is something else.
        """
        self._note(differs=reason)

    def stands(self, *, version: str, head: str, schema: str) -> None:
        """Note where the device's own lineage stands."""
        self._note(version=version, head=head, schema=schema)

    def _note(self, **facts: str) -> None:
        """Take facts that a report may hold, or none of them."""
        before, self._facts = self._facts, {**self._facts, **facts}
        try:
            self.state()
        except msgspec.ValidationError as exc:
            self._facts = before
            raise UsageError(f"this cannot be reported: {exc}", field="state", value=facts) from exc

    def state(self, *, online: bool = True) -> State:
        """Return what is to be said now."""
        facts = {"online": online, "agent": acclimate_shared.__version__, **self._facts}
        facts["memory_bytes"] = max(0, self._memory())
        return msgspec.convert({"type": "state", **facts}, State)

    def news(self) -> Literal["no", "small", "weighty"]:
        """Return how much has changed since the last report."""
        now, before = self.state(), self.reported
        if before is None or any(getattr(now, name) != getattr(before, name) for name in _WEIGHTY):
            return "weighty"
        return "no" if (now.version, now.head) == (before.version, before.head) else "small"
