"""How a live run fares: the last answers beside what repeating the last label would have got."""

from collections import deque

from acclimate_device.procedures import Task

RECENT = 200  # labels that are looked at


class Tally:
    """Errors of the last labels.

    Attributes:
        last: the label that came last, None before the first.
    """

    def __init__(self, task: Task) -> None:
        """Start with none."""
        self.task = task
        self.last: str | float | None = None
        self._errors: deque[float] = deque(maxlen=RECENT)
        self._repeats: deque[float] = deque(maxlen=RECENT)

    def add(self, predicted: str | float | None, repeated: str | float | None, label: str | float) -> None:
        """Note a label, what was predicted, and what was the last label at that time."""
        self._errors.append(self._error(predicted, label))
        self._repeats.append(self._error(repeated, label))

    def came(self, label: str | float) -> None:
        """Note that a label is the last one now."""
        self.last = str(label) if self.task == "classification" else float(label)

    def _error(self, said: str | float | None, label: str | float) -> float:
        if self.task == "classification":
            return float(said != str(label))
        return abs((0.0 if said is None else float(said)) - float(label))

    def lines(self) -> list[tuple[str, str]]:
        """Return (name, value) lines of a table."""
        if not self._errors:
            return []
        means = [sum(errors) / len(errors) for errors in (self._errors, self._repeats)]
        if self.task == "classification":
            names, texts = ("right", "repeating the last label"), [f"{100 * (1 - mean):.1f} %" for mean in means]
        else:
            names, texts = ("mean error", "repeating the last value"), [f"{mean:.4g}" for mean in means]
        return [(f"{names[0]}, last {len(self._errors)}", texts[0]), (names[1], texts[1])]
