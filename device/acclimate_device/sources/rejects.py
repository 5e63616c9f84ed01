"""Rows that were not used: how many, why, and the first of them with a remedy.

Their values are not told: reasons end in logs and in files, and row and column are enough to find them.
"""

from typing import Any

from acclimate_shared.errors import AcclimateError

KEPT = 20  # rejected rows reported one by one
MAX_REASONS = 50  # different reasons counted apart


class Rejects:
    """Counts rejected rows; nothing is learned from them."""

    def __init__(self) -> None:
        """Start with none."""
        self.count = 0
        self.by_reason: dict[str, int] = {}
        self.first: list[dict[str, Any]] = []

    def add(self, error: AcclimateError) -> None:
        """Note one row; the error tells its number, the reason and what to do."""
        self.count += 1
        reason = f"{error.message} in {error.field!r}" if error.field else error.message
        if reason not in self.by_reason and len(self.by_reason) >= MAX_REASONS:
            reason = "other reasons"
        self.by_reason[reason] = self.by_reason.get(reason, 0) + 1
        if len(self.first) < KEPT:
            self.first.append({"row": error.row, "reason": reason, "remedy": error.remedy})

    def document(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {"count": self.count, "by_reason": dict(self.by_reason), "first": list(self.first)}
