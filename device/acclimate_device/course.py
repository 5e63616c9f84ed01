"""How the evidence of the running tests went, for reports."""

from typing import Any

from acclimate_device.contest import Contest

MOST_STANDINGS = 400


class Course:
    """How the evidence went: where each running test stood, at most MOST_STANDINGS times, then every second."""

    def __init__(self) -> None:
        """Start empty."""
        self._standings: list[list[Any]] = []  # [label, {candidate: [log E, threshold]}]
        self._every = self._seen = 0

    def note(self, contest: Contest) -> None:
        """Note where the tests stand now; called at every commit."""
        standing = contest.standing()
        self._seen += 1
        if standing and self._seen % (1 << self._every) == 0:
            self._standings.append([contest.labels, standing])
        if len(self._standings) >= MOST_STANDINGS:
            self._standings, self._every = self._standings[::2], self._every + 1

    def result(self) -> list[dict[str, Any]]:
        """Return the standings as results list them."""
        return [{"label": label, "tests": tests} for label, tests in self._standings]

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [self._every, self._seen, self._standings]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        self._every, self._seen, self._standings = document
