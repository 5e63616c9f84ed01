import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_hub.pages import svg

NUMBERS = st.floats(-1e9, 1e9)
POINTS = st.lists(st.tuples(st.floats(0, 2e9), NUMBERS), min_size=1, max_size=40).map(sorted)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8)


def parsed(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - see above


@given(st.lists(st.builds(svg.Line, NAMES, POINTS), min_size=1, max_size=4), NAMES, st.none() | NUMBERS)
def test_every_chart_is_well_formed_and_inside_its_frame(
    series: list[svg.Line], label: str, limit: float | None
) -> None:
    root = parsed(svg.lines(series, label=label, bucket_s=300.0, limit=limit))
    assert root.get("role") == "img"
    assert root.get("aria-label", "").startswith(label)
    assert "style" not in {name for node in root.iter() for name in node.attrib}
    for node in root.iter("path"):
        for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", node.get("d", "")):
            assert svg.LEFT - 0.1 <= float(x) <= svg.WIDTH - svg.RIGHT + 0.1
            assert svg.TOP - 0.1 <= float(y) <= svg.HEIGHT - svg.BOTTOM + 0.1


@given(st.floats(-1e6, 1e6), st.floats(0.0001, 1e6), st.booleans())
def test_a_bar_crosses_its_mark_exactly_when_the_value_does(value: float, threshold: float, stops: bool) -> None:
    root = parsed(svg.evidence(value, threshold, met=value >= threshold, stops=stops, label="x"))
    width = float(root.findall("rect")[1].get("width", ""))
    mark = float(root.findall("line")[0].get("x1", ""))
    assert 0 < width <= 400
    if value < 0.99 * threshold:
        assert width < mark
    if value > 1.01 * threshold:
        assert width > mark
    assert ("good" in root.findall("rect")[1].get("class", "")) is (value >= threshold and not stops)


@given(st.lists(st.integers(0, 10**6), max_size=5))
def test_shares_fill_the_bar(counts: list[int]) -> None:
    root = parsed(svg.stacked([(str(at), count, "fill good") for at, count in enumerate(counts)], "shares"))
    widths = [float(rect.get("width", "")) for rect in root.findall("rect")[1:]]
    assert sum(widths) == pytest.approx(400 if any(counts) else 0, abs=0.1)


BINS = st.builds(svg.Bin, title=NAMES, share=st.floats(0, 1), usual=st.floats(0, 1))


@given(st.lists(BINS, min_size=1, max_size=66), NAMES)
def test_a_histogram_is_inside_its_frame_and_its_highest_bar_fills_it(bins: list[svg.Bin], label: str) -> None:
    root = parsed(svg.histogram(bins, label))
    bars = root.findall("rect")
    heights = [float(bar.get("height", "")) for bar in bars]
    assert len(bars) == len(bins)
    assert all(0 <= tall <= 48.01 for tall in heights)
    assert all(abs(float(bar.get("y", "")) + tall - 48) < 0.02 for bar, tall in zip(bars, heights, strict=True))
    most = max(max(one.share, one.usual) for one in bins)
    if any(one.share == most for one in bins) and most > 0:
        assert max(heights) == pytest.approx(48, abs=0.01)
    assert len(root.findall("line")) == 1 + sum(one.usual > 0 for one in bins)


@given(POINTS)
def test_a_spark_stays_in_its_frame(points: list[svg.Point]) -> None:
    places = re.findall(r"(-?[\d.]+) (-?[\d.]+)", svg.spark(points, "x"))
    inside = [(float(x), float(y)) for x, y in places][1:]  # the first is the frame itself
    assert all(0 <= x <= 120 and 0 <= y <= 32 for x, y in inside)


@given(NUMBERS, st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    high = low + width
    if width <= abs(low) * 1e-9:  # no numbers are left between them
        return
    ticks = svg.nice_ticks(low, high)
    assert len(ticks) <= svg.TICKS + 2
    assert all(low - width * 1e-6 <= tick <= high + width * 1e-6 for tick in ticks)


def test_a_gap_breaks_the_line_and_a_lonely_point_is_a_dot() -> None:
    root = parsed(svg.lines([svg.Line("a", [(0, 1), (300, 2), (90_000, 3)])], label="x", bucket_s=300.0))
    assert [node.get("d", "").count("M") for node in root.iter("path")] == [2]
    assert len(list(root.iter("circle"))) == 1


def test_texts_cannot_become_elements() -> None:
    picture = svg.lines([svg.Line("<b>", [(0, 1.0)])], label='"/><script>', bucket_s=1.0)
    assert "<script" not in picture
    assert "<b>" not in picture
