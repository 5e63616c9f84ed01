import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from acclimate_device.answered import Answered

STEPS = st.lists(st.tuples(st.sampled_from(["add", "forget"]), st.integers(0, 30)), max_size=120)


@given(STEPS, st.integers(1, 12))
@example([("add", 2), ("add", 0), ("add", 1), ("forget", 0), ("forget", 1)], 2)
def test_half_of_the_bound_is_always_remembered_and_never_more_than_the_bound(
    steps: list[tuple[str, int]], most: int
) -> None:
    answered, order, told = Answered(most), list[str](), set[str]()
    for what, number in steps:
        name = f"event-{number}"
        if what == "forget":
            answered.forget(name)
            told.add(name)
        elif name not in answered:
            answered.add(name, number)
            told.discard(name)
            order = [*(one for one in order if one != name), name]
        assert len(answered) <= max(most, 2)
        wanted = [one for one in order if one not in told]
        gone = len(wanted) - sum(one in answered for one in wanted)
        assert [one in answered for one in wanted] == [at >= gone for at in range(len(wanted))]  # the oldest first
        assert all(one in answered or one in told for one in order[-max(1, most // 2) :])
    again = Answered(most)
    again.restore(answered.document())
    assert again.document() == answered.document()
    for one in order:
        if one in answered:
            assert again[one] == answered[one]
        else:
            with pytest.raises(KeyError):
                answered[one]
