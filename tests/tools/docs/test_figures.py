"""Figures in the pages come from the results, or the build ends."""

import pytest

from acclimate_shared.errors import MissingError
from acclimate_tools.docs.figures import fill, read_results
from acclimate_tools.docs.site import DOCS

RESULTS = {
    "demo": {
        "share": 0.0375,
        "odd.key, here": [1, {"deep": 1234}],
        "runs": [{"of": "a", "at": 0, "n": 1}, {"of": "a", "at": 5, "n": 2}],
    }
}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("{{ demo share | .1% }}", "3.8 %"),
        ('{{ demo "odd.key, here".1.deep | , }}', "1,234"),
        ("{{ demo runs[of=a&at=5].n | d }}", "2"),
        ("nothing to fill", "nothing to fill"),
    ],
)
def test_a_figure_is_read_and_shown(written: str, shown: str) -> None:
    assert fill(f"it is {written}.", RESULTS) == f"it is {shown}."


@pytest.mark.parametrize(
    "written",
    ["{{ none share | d }}", "{{ demo none | d }}", "{{ demo share.deep | d }}", "{{ demo runs[of=b].n | d }}",
     "{{ demo share | d }}", "{{ demo runs | .1f }}", "{{ demo share }}", "{{ demo runs.7 | d }}"],
)  # fmt: skip
def test_what_is_not_there_ends_the_build(written: str) -> None:
    with pytest.raises(MissingError):
        fill(written, RESULTS)


def test_every_figure_of_the_pages_is_there() -> None:
    results = read_results(DOCS / "results")
    counts = [text.count("{{ ") for page in DOCS.rglob("*.md") if fill(text := page.read_text("utf-8"), results)]
    assert sum(counts) > 30
