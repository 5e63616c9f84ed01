"""How long a candidate waits before it is tested again: longer, the more tests have come to nothing.

Every started test spends a level of the account for the life of the model. On a stream that stands still the same
candidates promise something by chance again and again; so each failure of a candidate doubles its own wait, and after
FREE_TESTS failures in a row without a promotion all candidates pause, twice as long after each further one, and are
then tested one at a time. A drift of the champion's losses, or another champion, ends all waiting. A lead so large that
it is hardly chance skips the pause.

Counts are of labels, so that a replay and an agent decide the same.
"""

from typing import Any

ROWS = 4096  # labels that a candidate waits after its first failure; the first pause
FREE_TESTS = 4  # failures in a row before all candidates pause
MOST_DOUBLINGS = 7  # the longest wait: half a million labels
LARGE_LEAD = 4.0  # standard errors in the backtest that skip the pause


class CoolDown:
    """Which tests failed since the last reason to hope, and when."""

    def __init__(self) -> None:
        """Start with no failure."""
        self._failed: dict[int, int] = {}  # tests by column
        self._at: dict[int, int] = {}  # labels at the last failure of a column; it stays when hope returns
        self._barren = 0
        self._last = 0

    def fail(self, column: int, labels: int) -> None:
        """Note that the test of a candidate ended without a promotion."""
        self._failed[column] = self._failed.get(column, 0) + 1
        self._at[column] = self._last = labels
        self._barren += 1

    def move(self, column: int, to: int, labels: int) -> None:
        """Count the failures of a snapshot's column as those of its source, which rests from now at the latest."""
        self._failed[to] = self._failed.get(to, 0) + self._failed.pop(column, 0)
        self._at[to] = self._at.pop(column, labels)

    def hope(self) -> None:
        """Forget how often tests have failed: the world, or the champion, is another one."""
        self._failed.clear()
        self._barren = 0

    def rested(self, column: int, labels: int) -> bool:
        """Return whether a candidate has waited for long enough."""
        times = max(0, self._failed.get(column, 0) - 1)
        return column not in self._at or labels - self._at[column] >= _wait(times)

    def room(self, free: int, running: int, labels: int) -> int:
        """Return how many tests may start now, of ``free``, for candidates without a large lead."""
        over = self._barren - FREE_TESTS
        if over < 0:
            return free
        return min(free, 1) if not running and labels - self._last >= _wait(over) else 0

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the state as JSON values."""
        return [sorted(self._failed.items()), sorted(self._at.items()), self._barren, self._last]

    def restore(self, document: Any) -> None:  # noqa: ANN401
        """Take back what ``document`` returned."""
        failed, at, self._barren, self._last = document
        self._failed, self._at = dict(map(tuple, failed)), dict(map(tuple, at))


def _wait(doublings: int) -> int:
    return int(ROWS * 2 ** min(doublings, MOST_DOUBLINGS))
