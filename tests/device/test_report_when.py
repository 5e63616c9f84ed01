"""The page tells when a model learned and what changed, whatever the numbers are."""

from typing import Any

import pytest

from acclimate_device.report_contest import contest_section
from acclimate_device.report_when import MOST_SHOWN, when_section
from acclimate_device.run_words import contest_lines

FIRING = {"row": 512, "trigger": "any(volume)", "cause": {"volume": {"new_labelled": 32, "needed": 32}}, "gain": 0.01}
MARK = {"row": 700, "label": 690, "on": "loss", "detector": "adwin", "detail": {"before": 0.1, "after": 0.4}}
CADENCE = {"fired": 1, "dropped_rows": 40, "firings": [FIRING], "held_back": {"trigger": "time", "reason": "cool_down"}}


def test_firings_and_marks_are_told_with_their_causes() -> None:
    page = when_section({"cadence": CADENCE, "drift": [MARK]})
    for said in ("fired 1 times", "volume: new labelled 32", "40 labels were passed over", "cool down", "0.01"):
        assert said in page
    for said in ("losses rose", "adwin", "after 0.4"):
        assert said in page


def test_nothing_to_tell_is_nothing() -> None:
    assert when_section({"cadence": None, "drift": []}) == ""


def test_only_the_last_are_shown() -> None:
    page = when_section({"cadence": {**CADENCE, "firings": [FIRING] * 500}, "drift": [MARK] * 500})
    assert page.count("<tr>") <= 2 * (MOST_SHOWN + 1)


@pytest.mark.parametrize("odd", ["<b>x</b>", None, 3, [], {}, float("nan")])
def test_odd_values_break_nothing_and_are_escaped(odd: Any) -> None:
    firing = dict.fromkeys(FIRING, odd)
    page = when_section({"cadence": {**CADENCE, "firings": [firing, odd]}, "drift": [dict.fromkeys(MARK, odd), odd]})
    assert "<b>x</b>" not in page
    assert isinstance(when_section({"cadence": odd, "drift": odd}), str)


def test_the_contest_tells_who_leads_who_is_in_quarantine_and_marks_what_happened() -> None:
    happened = [
        {"row": 900, "candidate": "rls", "event": "promote", "reason": "r", "numbers": {}},
        {"row": 950, "candidate": "anchor", "event": "rollback", "reason": "r", "numbers": {}},
        {"row": 990, "candidate": "mlp", "event": "quarantined", "reason": "r", "numbers": {}},
    ]
    standings = [{"label": at, "tests": {"knn": [1.0, 4.0]}} for at in (512, 1024)]
    running = {"knn": [1.0, 4.0], "softmax": [3.0, 4.0]}
    page = contest_section({"contest": {"transitions": happened, "standings": standings, "running": running}}, ["knn"])
    assert "softmax leads with 75 %" in page
    assert "In quarantine: mlp" in page
    assert 'class="promotion"' in page
    assert 'class="rollback"' in page


def test_the_live_table_tells_the_same() -> None:
    status = {
        "champion": "committee", "policy": "continual", "tests": {"knn": [1.0, 4.0], "rls": [3.0, 4.0]},
        "happened": {"promotion": 2, "rollback": 1, "quarantine": 0}, "latest": ["label 9: rls: promote, better"],
        "drift": [MARK],
        "triggers": {"fired": 3, "held": 7, "held_back": {"reason": "quiet_hours"}, "last_firing": FIRING},
    }  # fmt: skip
    told = dict(contest_lines(status))
    assert "75 %" in told["challenger rls"]
    assert "leads" in told["challenger rls"]
    assert told["so far"] == "2 promotions, 1 rollback"
    assert "row 700" in told["drift"]
    assert "quiet hours" in told["learns"]
    assert "any(volume)" in told["learns"]
