"""A detector that looks at nothing and fires every n values: what a real one must beat."""

from acclimate_device.drift.base import Exact, require


class Dummy(Exact, kw_only=True, tag="dummy/1"):
    """Fires every ``every`` values, whatever they are.

    Attributes:
        every: Values from one firing to the next.
        drift_detected: Whether it fired at the last value.
        seen: Values seen since the start.
    """

    every: int = 10_000
    drift_detected: bool = False
    seen: int = 0

    def __post_init__(self) -> None:
        """Check the option.

        Raises:
            ValueError: If it is less than 1.
        """
        require("every", self.every, right=self.every >= 1, remedy="give at least 1")

    def update(self, x: object) -> None:  # noqa: ARG002 - that is the point
        """Count one value."""
        self.seen += 1
        self.drift_detected = self.seen % self.every == 0

    def reset(self) -> None:
        """Count from 0."""
        self.seen, self.drift_detected = 0, False

    def detail(self) -> dict[str, float]:
        """Return values seen."""
        return {"seen": self.seen}
