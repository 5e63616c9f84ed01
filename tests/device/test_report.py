# ruff: noqa: E501 (one literal result; the parser's own signature)
"""The report: self-contained, escaped, and whole for any result."""

import copy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from acclimate_device.report import render, write_report
from acclimate_shared.errors import UsageError

VOID = {"meta", "br", "line", "link"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name.startswith("on") or name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def result(windows: int = 3, members: int = 3, task: str = "classification") -> dict[str, Any]:
    regression = task == "regression"
    metric = "mae" if regression else "accuracy"
    names = [f"m{i}" for i in range(members)]
    bases = ["last", "mean"] if regression else ["no_change", "majority"]
    return {
        "file": "f.csv", "label": "y", "task": task, "rows_read": 100, "rows_rejected": 1, "rows_scored": 98,
        "rejects": [{"row": 7, "reason": "bad", "remedy": "mend"}], "rejects_by_reason": {"bad": 1}, "warnings": ["careful"],
        "options": {"delay": 0}, "state_bytes": 2048, "throughput_events_per_s": 5000.0, "commits": 2,
        "wall_s": 1.0, "cpu_s": 1.0, "peak_rss_mib": 80.0,
        "served": {"mae": 1.0, "rmse": 2.0, "r2": None} if regression else {"accuracy": 0.9, "kappa": 0.8, "log_loss": None},
        "baselines": {name: {metric: 0.5} for name in bases},
        "candidates": [{"id": n, "learner": "rls", "status": "member", metric: 0.8} for n in names],
        "promotions": [{"row": 50}], "drift": [{"row": 60}],
        "windows": [
            {
                "first_row": 1 + 10 * i, "last_row": 10 + 10 * i, "served": 0.9, "candidates": dict.fromkeys(names, 0.8),
                "baselines": dict.fromkeys(bases, 0.5), "weights": dict.fromkeys(names, 1 / members),
            }
            for i in range(windows)
        ],
    }  # fmt: skip


HOSTILE = "<img src=x onerror=alert(1)>"


def parsed(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    return parser


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("windows", [0, 1, 2, 200])
def test_it_is_one_balanced_page_without_script_or_foreign_resource(task: str, windows: int) -> None:
    page = render(result(windows, 10, task))
    parser = parsed(page)
    assert parser.open == []
    for foreign in ("<script", "http", "url(", "@import", "<link"):
        assert foreign not in page
    assert len(page) < 1_000_000
    assert "Predicted 98 rows before seeing their labels." in parser.text


def test_the_headline_says_in_plain_words_what_was_won() -> None:
    words = parsed(render(result())).text.replace("\u202f", " ")
    assert "90.0 % were right; repeating the last label would have scored 50.0 %." in words
    assert "That is 80 % fewer mistakes than repeating." in words
    worse = result()
    worse["served"]["accuracy"] = 0.4
    assert "learning was not worth it" in parsed(render(worse)).text


def test_a_regression_says_that_lower_is_better_and_lists_the_smallest_error_first() -> None:
    page = parsed(render(result(5, 3, "regression"))).text
    assert "off by 1 on average; repeating the last value would have been off by 0.5" in page
    assert page.count("ower is better") >= 2
    everyone = page[page.index("Everyone") :]
    assert everyone.index("mean so far") < everyone.index("m0") < everyone.index("served")


def test_every_text_from_the_data_is_escaped() -> None:
    bad = copy.deepcopy(result())
    bad["file"] = bad["label"] = bad["task"] = HOSTILE
    bad["rejects"][0]["reason"] = bad["rejects"][0]["remedy"] = bad["warnings"][0] = HOSTILE
    bad["candidates"][0] = {"id": HOSTILE, "learner": HOSTILE, "status": HOSTILE, "accuracy": 0.5}
    bad["options"], bad["classes"] = {HOSTILE: HOSTILE, "key": [HOSTILE]}, [HOSTILE, '" onload="x']
    bad["promotions"] = [{"row": 20, "candidate": HOSTILE, "event": "promote"}]
    bad["baselines"][HOSTILE], bad["served"][HOSTILE] = {"accuracy": 0.1}, 0.2
    for window in bad["windows"]:
        for part in ("candidates", "weights"):
            window[part][HOSTILE] = window[part].pop("m0")
        window["baselines"][HOSTILE] = 0.1
    page = render(bad)
    assert "<img" not in page
    assert '" onload' not in page
    assert parsed(page).open == []


def test_characters_that_cannot_be_written_or_seen_do_no_harm(tmp_path: Path) -> None:
    odd = result()
    odd["file"] = "a\ud800\x00\u202eb.csv"
    write_report(odd, tmp_path / "r.html")
    assert "a?  b.csv" in (tmp_path / "r.html").read_text(encoding="utf-8")


def without_numbers(value: Any, none: object) -> Any:
    if isinstance(value, dict):
        return {name: without_numbers(item, none) for name, item in value.items()}
    if isinstance(value, list):
        return [without_numbers(item, none) for item in value]
    return none if isinstance(value, int | float) else value


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("none", [None, float("nan"), float("inf"), 0, 1e308, -1e308, 10**400])
def test_any_number_may_be_missing_or_absurd(task: str, none: object) -> None:
    page = render(without_numbers(result(4, 3, task), none))
    assert parsed(page).open == []
    assert "nan" not in page
    assert "inf" not in page


@pytest.mark.parametrize("part", ["served", "candidates", "baselines", "weights"])
def test_gaps_in_the_windows_are_gaps_in_the_curves(part: str) -> None:
    holes = result(9, 3)
    for i in (0, 4, 5):
        holes["windows"][i][part] = None
    assert parsed(render(holes)).open == []


def test_what_is_absent_is_not_needed() -> None:
    assert "No row was scored." in render({})
    bare = result()
    for name in ("promotions", "drift", "rejects_by_reason", "warnings", "commits", "classes"):
        bare.pop(name, None)
    assert parsed(render(bare)).open == []


def test_a_single_learner_has_nothing_to_weigh() -> None:
    assert "nothing to weigh" in render(result(2, 1))


def test_promotions_and_drifts_are_marked_and_told() -> None:
    told = result()
    told["promotions"] = [{"row": 20, "candidate": "m1", "event": "promote"}]
    told["drift"] = [{"row": row} for row in range(1, 31)]
    page = render(told)
    assert 'class="promotion"' in page
    assert "row 20 m1" in page
    assert "and 18 more" in page


def test_rejected_rows_come_with_their_remedy_and_are_not_all_listed() -> None:
    many = result()
    many["rows_rejected"] = 300
    many["rejects"] = [{"row": i, "reason": "bad", "remedy": f"mend-{i}-"} for i in range(1, 201)]
    words = parsed(render(many)).text
    assert "mend-100-" in words
    assert "mend-101-" not in words
    assert "200 more were refused" in words


def test_the_charts_are_described_for_people_who_cannot_see_them() -> None:
    page = render(result())
    assert page.count('role="img"') == page.count("<desc>") == 4
    assert "served from 90.0" in page


def test_a_curve_and_its_key_look_the_same() -> None:
    page = render(result())
    for dash in ("6 5", "1.5 4.5"):
        assert page.count(f"stroke:var(--base);stroke-dasharray:{dash}") == 4  # curve and key, wide and narrow


def test_it_is_written_whole_or_refused(tmp_path: Path) -> None:
    write_report(result(), tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype")
    with pytest.raises(UsageError) as refused:
        write_report(result(), tmp_path / "none" / "r.html")
    assert refused.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
