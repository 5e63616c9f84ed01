"""The contest on the page: one sentence, the evidence, what happened; whatever the result holds."""

from typing import Any

import pytest

from acclimate_device.report import render
from acclimate_device.report_contest import MOST_TRANSITIONS, contest_section

HOSTILE = "<script>alert(1)</script>"
NAMES = ["rls", "committee"]


def contest(**changes: Any) -> dict[str, Any]:
    standings = [{"label": 512 * i, "tests": {"rls": [0.5 * i, 3.0]}} for i in range(1, 8)]
    event = {"row": 512, "candidate": "rls", "event": "start", "reason": "test 1", "numbers": {"alpha": 0.03}}
    promoted = {**event, "row": 3_584, "event": "promote", "reason": "better than committee, by evidence"}
    base = {"policy": "continual", "champion": "rls", "version": "2.0", "tests_started": 1, "alpha": 0.05}
    return {**base, "standings": standings, "transitions": [event, promoted], "transitions_total": 2, **changes}


def test_it_says_who_serves_and_shows_evidence_and_events() -> None:
    found = contest_section({"contest": contest()}, NAMES)
    assert "rls serves, version 2.0, by the policy continual" in found
    assert "1 tests were started, 1 ended in a promotion" in found
    assert "at most 5 % of promotions" in found
    assert found.index("promoted") < found.index("test begins")  # the newest first
    assert "<svg" in found
    assert "decision" in found


def test_without_a_contest_there_is_nothing() -> None:
    assert contest_section({}, NAMES) == ""
    assert contest_section({"contest": None}, NAMES) == ""
    quiet = contest_section({"contest": contest(standings=[], transitions=[], tests_started=0)}, NAMES)
    assert "Nothing happened" in quiet
    assert "<svg" not in quiet


def test_only_the_last_transitions_are_shown() -> None:
    many = [{"row": i, "candidate": "rls", "event": "start", "reason": str(i), "numbers": {}} for i in range(200)]
    found = contest_section({"contest": contest(transitions=many, transitions_total=5_000)}, NAMES)
    assert found.count("test begins") == MOST_TRANSITIONS
    assert "of 5,000" in found


@pytest.mark.parametrize(
    "changes",
    [
        {"standings": None, "transitions": None, "alpha": None},
        {"standings": [{"label": None, "tests": 3}, 7], "transitions": [7, {"event": None}]},
        {"standings": [{"label": 1, "tests": {"x": [None, 0]}}] * 3},
        {"standings": [{"label": 1, "tests": {"x": "y"}}] * 3, "transitions": [{"numbers": 3}]},
        {"champion": HOSTILE, "version": HOSTILE, "transitions": [{"candidate": HOSTILE, "reason": HOSTILE}]},
        {"standings": [{"label": i, "tests": {HOSTILE: [1.0, 2.0]}} for i in range(5)]},
    ],
)
def test_damage_and_hostile_names_do_no_harm(changes: dict[str, Any]) -> None:
    page = render({"file": "a.csv", "label": "y", "task": "classification", "contest": contest(**changes)})
    assert HOSTILE not in page
    assert page.endswith("</html>\n")
