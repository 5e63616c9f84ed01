"""The same answers as River 0.26.1, value by value, against what ``record_river.py`` recorded."""

import json

import pytest

from acclimate_device.drift import Adwin, PageHinkley
from tests.device.drift.record_river import GOLDEN, OPTIONS, ROWS, streams

RECORDED = json.loads(GOLDEN.read_text())
STREAMS = streams()


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("which", range(len(OPTIONS["adwin"])))
def test_adwin_answers_as_river_does(name: str, which: int) -> None:
    expected = RECORDED["adwin"][name][which]
    detector = Adwin(**expected["options"])
    found, widths = [], []
    for i, value in enumerate(STREAMS[name]):
        detector.update(value)
        if detector.drift_detected:
            found.append(i)
        if detector.drift_detected or (i + 1) % 1000 == 0:
            widths.append(detector.width)
    assert (found, widths) == (expected["found"], expected["widths"])


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("which", range(len(OPTIONS["page-hinkley"])))
def test_page_hinkley_answers_as_river_does(name: str, which: int) -> None:
    expected = RECORDED["page-hinkley"][name][which]
    detector = PageHinkley(**expected["options"])
    found = []
    for i, value in enumerate(STREAMS[name]):
        detector.update(value)
        if detector.drift_detected:
            found.append(i)
    assert found == expected["found"]


def test_the_recording_has_drifts_and_their_absence() -> None:
    counts = [len(entry["found"]) for kind in RECORDED.values() for sets in kind.values() for entry in sets]
    assert 0 in counts
    assert sum(counts) > 1000
    assert all(len(values) == ROWS for values in STREAMS.values())
