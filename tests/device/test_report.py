# ruff: noqa: E501, ARG002 (one literal result; the parser's own signature)
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

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
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
        "promotions": [{"row": 50}], "drifts": [{"row": 60}],
        "windows": [
            {
                "first_row": 1 + 10 * i, "last_row": 10 + 10 * i, "served": 0.9, "candidates": dict.fromkeys(names, 0.8),
                "baselines": dict.fromkeys(bases, 0.5), "weights": dict.fromkeys(names, 1 / members),
            }
            for i in range(windows)
        ],
    }  # fmt: skip


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("windows", [0, 1, 200])
def test_it_is_one_balanced_page_without_script_or_foreign_resource(task: str, windows: int) -> None:
    page = render(result(windows, 10, task))
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert "<script" not in page
    assert "http" not in page
    assert len(page) < 1_000_000
    assert "98 rows predicted" in parser.text


def test_every_text_from_the_data_is_escaped() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    bad = copy.deepcopy(result())
    bad["file"] = bad["label"] = hostile
    bad["rejects"][0]["reason"] = bad["warnings"][0] = hostile
    bad["candidates"][0]["id"] = hostile
    for window in bad["windows"]:
        for part in ("candidates", "weights"):
            window[part][hostile] = window[part].pop("m0")
    assert hostile not in render(bad)


def test_a_single_learner_and_missing_scores() -> None:
    page = result(2, 1)
    page["served"] = dict.fromkeys(page["served"])
    page["candidates"][0]["accuracy"] = None
    assert "nothing to weigh" in render(page)


def test_it_is_written_whole_or_refused(tmp_path: Path) -> None:
    write_report(result(), tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text().startswith("<!doctype")
    with pytest.raises(UsageError):
        write_report(result(), tmp_path / "none" / "r.html")
