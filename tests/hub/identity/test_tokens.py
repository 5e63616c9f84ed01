import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_hub.identity import tokens
from acclimate_hub.identity.rates import MAX_NAMES, Rates
from acclimate_hub.limits import Rate
from acclimate_shared.errors import AccessError, RateError


def test_a_token_matches_its_hash_alone() -> None:
    one, two = tokens.new("api"), tokens.new("claim")
    assert one.id != two.id
    assert tokens.matches(tokens.parse(one.text), one.secret_hash)
    assert not tokens.matches(tokens.parse(one.text), two.secret_hash)
    swapped = one.text.replace("api", "claim")
    assert not tokens.matches(tokens.parse(swapped), one.secret_hash)
    secret = tokens.parse(one.text).secret
    assert secret not in one.secret_hash + repr(tokens.parse(one.text))


@given(st.text(max_size=120))
def test_arbitrary_text_is_no_token(text: str) -> None:
    with pytest.raises(AccessError) as caught:
        tokens.parse(text)
    assert caught.value.value == ""


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 10)), max_size=60))
def test_nobody_gets_more_than_burst_and_rate(steps: list[tuple[str, float]]) -> None:
    rates, now_s = Rates(Rate(burst=3, per_s=2.0)), 0.0
    taken = dict.fromkeys("ab", 0)
    for name, wait_s in steps:
        now_s += wait_s
        taken[name] += rates.allows(name, now_s)
    assert all(count <= 3 + 2.0 * now_s + 1e-6 for count in taken.values())


def test_names_are_bounded_and_clocks_may_go_back() -> None:
    rates = Rates(Rate(burst=1, per_s=1.0))
    rates.check("a", 100.0)
    with pytest.raises(RateError, match="too often"):
        rates.check("a", 50.0)
    for at in range(MAX_NAMES + 10):
        assert rates.allows(f"n{at}", 100.0)
    assert len(rates._buckets) == MAX_NAMES
