import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_shared.errors import CorruptStateError
from acclimate_shared.evidence import Account
from acclimate_shared.evidence._seal import pack_counts, pack_floats, sealed
from acclimate_shared.evidence.sequence import gamma


def test_without_a_promotion_all_levels_together_stay_below_alpha() -> None:
    account = Account(0.05)
    levels = [account.start() for _ in range(10_000)]
    assert [level.index for level in levels[:3]] == [1, 2, 3]
    assert 0.0499 < sum(level.alpha for level in levels) < 0.05
    assert sum(map(gamma, range(1, 100_000))) == pytest.approx(1, abs=1e-4)


@given(st.lists(st.booleans(), max_size=50), st.integers(0, 50))
def test_levels_follow_the_formula_and_survive_saving(promoted: list[bool], cut: int) -> None:
    account, promotions = Account(0.1), 0
    for index, success in enumerate(promoted, 1):
        assert account.next_level.alpha == pytest.approx(0.1 * gamma(index) * (promotions + 1))
        assert account.start().alpha <= 0.1
        if success:
            account.promoted()
            promotions += 1
        if index == cut:
            account = Account.from_bytes(account.to_bytes())
    assert (account.started, account.promotions) == (len(promoted), promotions)
    assert Account.from_bytes(account.to_bytes()) == account


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(RuntimeError, match="started test"):
        Account(0.05).promoted()
    for alpha, started, promotions in ((0.0, 0, 0), (1.0, 0, 0), (0.05, 1, 2)):
        with pytest.raises(ValueError, match=r"alpha|promotions"):
            Account(alpha, started, promotions)
    with pytest.raises(CorruptStateError):
        Account.from_bytes(sealed(b"ACCT", pack_floats(0.05) + pack_counts(1, 2)))
    with pytest.raises(CorruptStateError, match="not finite"):
        Account.from_bytes(sealed(b"ACCT", pack_floats(float("nan")) + pack_counts(1, 1)))
    with pytest.raises(CorruptStateError, match="more than it should"):
        Account.from_bytes(sealed(b"ACCT", pack_floats(0.05) + pack_counts(1, 1, 1)))
