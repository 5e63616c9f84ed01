"""How much of what was learned survives which accident, and what that costs the disk.

With a journal no acknowledged label is ever lost. Without one (``data_retention = none``, or the profile ``thrifty``)
labels since the last checkpoint may be lost. Checkpoints are spaced so that they write no more than a budget a day.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from acclimate_device.procedures import Procedure, Task, standard_learner
from acclimate_device.rules import Rules
from acclimate_shared.errors import UsageError

DAY_S = 86_400.0
MB = 1_000_000
MOST_JOURNAL_BYTES = 64 * MB  # then a checkpoint is due, whatever it costs
LEAST_S, MOST_S = 60.0, 6 * 3600.0  # between two checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Durability:
    """What is kept, and how carefully.

    Attributes:
        retention: ``journal`` keeps what was predicted and labelled until a checkpoint holds it, encrypted; ``none``
            keeps no row of data on the disk at all.
        profile: ``default`` acknowledges every label; ``thrifty`` has no journal and few checkpoints.
    """

    retention: Literal["journal", "none"] = "journal"
    profile: Literal["default", "thrifty"] = "default"

    @property
    def journals(self) -> bool:
        """Whether a label is durable when it is acknowledged."""
        return self.retention == "journal" and self.profile == "default"

    @property
    def budget_bytes(self) -> int:
        """What checkpoints may write in a day, bytes."""
        if self.profile == "thrifty":
            return 40 * MB
        return 50 * MB if self.journals else 450 * MB

    def spacing_s(self, cost_bytes: int) -> float:
        """Return the time between two checkpoints that cost ``cost_bytes`` each, seconds."""
        return min(max(cost_bytes * DAY_S / self.budget_bytes, LEAST_S), MOST_S)

    def due(self, *, since_s: float, cost_bytes: int, journal_bytes: int) -> bool:
        """Return whether a checkpoint is due.

        Args:
            since_s: seconds since the last one.
            cost_bytes: what it wrote.
            journal_bytes: what the journal has written since.
        """
        return since_s >= self.spacing_s(cost_bytes) or journal_bytes >= MOST_JOURNAL_BYTES

    def promise(self, cost_bytes: int) -> str:
        """Return what may be lost when power fails, for people."""
        if self.journals:
            return "no label that was acknowledged; predictions of the last second that have no label yet"
        minutes = max(round(self.spacing_s(cost_bytes) / 60), 1)
        rest = "; every prediction that waits for its label" if self.retention == "none" else ""
        return f"labels of the last {minutes} minutes or of the commit at hand, whichever is more{rest}"

    def told(self, written: int, events: int, cost_bytes: int) -> dict[str, Any]:
        """Return what a state has cost the disk, and what may be lost, as ``status`` tells it.

        Args:
            written: bytes, in the state's life.
            events: predicted or learned in that time.
            cost_bytes: of the last checkpoint.
        """
        return {
            "bytes_written": written,
            "bytes_written_per_1000_events": round(1000 * written / events) if events else 0,
            "may_be_lost": self.promise(cost_bytes),
        }

    def ruled(self, rules: Rules) -> Rules:
        """Return rules under which no row of data is kept, if none may be."""
        if self.retention != "none":
            return rules
        return replace(rules, limits=replace(rules.limits, sanity_rows=0), rehearse=0, scratch=0)

    def check(self, procedures: Iterable[Procedure], task: Task, *, waits: bool) -> None:
        """Refuse what keeps rows, where none may be kept.

        Args:
            procedures: of the committee.
            task: of the agent.
            waits: whether labels are held until a trigger fires.

        Raises:
            UsageError: a learner's manifest declares ``holds_rows``, or labels would be held.
        """
        if self.retention != "none":
            return
        if waits:
            remedy = "leave out the triggers, or keep a journal"
            raise UsageError("triggers hold rows of data", field="triggers", value="retention none", remedy=remedy)
        holding = [p.name for p in procedures if standard_learner(p.learner, task).manifest.holds_rows]
        if holding:
            remedy = f"leave out {', '.join(holding)}, or keep a journal"
            raise UsageError("these learners hold rows of data", field="learners", value=holding, remedy=remedy)
