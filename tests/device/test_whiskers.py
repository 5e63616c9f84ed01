"""Intervals as text: in order, on one scale, zero among them."""

from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.whiskers import Scale

ENDS = st.floats(-5, 5).flatmap(lambda low: st.tuples(st.just(low), st.floats(0, 5).map(lambda more: low + more)))


@given(st.lists(ENDS, min_size=1, max_size=5), st.floats(0, 1))
def test_ends_and_middle_are_in_order_and_fit(intervals: list[tuple[float, float]], share: float) -> None:
    scale = Scale.of(intervals, width=25)
    for low, high in intervals:
        text = scale.drawn(low, low + share * (high - low), high)
        assert 0 < len(text) <= 25
        assert text.count("●") == 1
        assert set(text) <= set(" ├─●┤┊")
    wide = scale.drawn(scale.low, 0.0, scale.high)
    assert len(wide) == 25 or scale.low == scale.high


def test_what_is_beyond_zero_leaves_it_visible() -> None:
    scale = Scale.of([(1.0, 2.0), (-2.0, -1.0)], width=21)
    assert scale.drawn(1.0, 1.5, 2.0) == "          ┊    ├──●─┤"
    assert scale.drawn(-2.0, -1.5, -1.0) == "├─●──┤    ┊"
    assert Scale.of([(0.0, 0.0)]).drawn(0.0, 0.0, 0.0) == "●"
