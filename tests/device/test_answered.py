import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.answered import Answered

STEPS = st.lists(st.tuples(st.sampled_from(["add", "forget"]), st.integers(0, 30)), max_size=120)


@given(STEPS, st.integers(1, 12))
def test_half_of_the_bound_is_always_remembered_and_never_more_than_the_bound(
    steps: list[tuple[str, int]], most: int
) -> None:
    answered, order = Answered(most), list[str]()
    for what, number in steps:
        name = f"event-{number}"
        if what == "forget":
            answered.forget(name)
            order = [one for one in order if one != name]
        elif name not in answered:
            answered.add(name, number)
            order = [*(one for one in order if one != name), name]
        assert len(answered) <= max(most, 2)
        gone = len(order) - sum(one in answered for one in order)
        assert [one in answered for one in order] == [at >= gone for at in range(len(order))]  # the oldest first
        assert len(answered) >= min(len(order), most // 2)
    again = Answered(most)
    again.restore(answered.document())
    assert again.document() == answered.document()
    for one in order:
        if one in answered:
            assert again[one] == answered[one]
        else:
            with pytest.raises(KeyError):
                answered[one]
