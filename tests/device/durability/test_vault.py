"""What is sealed opens only where it was put, and no nonce is used twice."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.vault import COUNTER_BYTES, OVERHEAD, SALT_BYTES, Vault, unwrap, wrap
from acclimate_shared.errors import CorruptStateError

KEY = bytes(range(32))
HEAD = SALT_BYTES + COUNTER_BYTES


@given(st.binary(max_size=300), st.text(max_size=20))
def test_it_opens_where_it_was_put(data: bytes, place: str) -> None:
    sealed = Vault(KEY, "a").seal(place, data)
    assert Vault(KEY, "a").open(place, sealed) == data
    assert len(sealed) == len(data) + OVERHEAD
    for other in (Vault(KEY, "b"), Vault(KEY[::-1], "a")):
        with pytest.raises(CorruptStateError):
            other.open(place, sealed)
    with pytest.raises(CorruptStateError):
        Vault(KEY, "a").open(place + "x", sealed)


@given(st.data())
def test_no_bit_may_change(data: st.DataObject) -> None:
    vault = Vault(KEY, "a")
    sealed = bytearray(vault.seal("place", b"forty-two"))
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(CorruptStateError):
        vault.open("place", bytes(sealed))


@pytest.mark.parametrize("size", [0, 1, HEAD, OVERHEAD - 1])
def test_what_is_too_short_is_damaged(size: int) -> None:
    with pytest.raises(CorruptStateError):
        Vault(KEY, "a").open("place", bytes(size))


def heads(vaults: list[Vault], each: int) -> list[bytes]:
    """Return what decides key and nonce of every message."""
    return [vault.seal("p", b"x")[:HEAD] for vault in vaults for _ in range(each)]


def test_no_nonce_comes_twice_not_even_in_copies_that_go_on() -> None:
    # a folder that was copied at any time, or killed, has the same data key and no memory of what was counted
    used = heads([Vault(KEY, "a") for _ in range(50)], 40)
    assert len(set(used)) == len(used)


def test_the_test_of_nonces_can_fail() -> None:
    fixed: Callable[[int], bytes] = bytes
    used = heads([Vault(KEY, "a", draw=fixed) for _ in range(2)], 3)
    assert len(set(used)) < len(used)


def test_a_full_key_is_replaced() -> None:
    vault = Vault(KEY, "a", most=4)
    sealed = [vault.seal("p", bytes([i])) for i in range(12)]
    assert len({one[:SALT_BYTES] for one in sealed}) == 3
    assert len({one[:HEAD] for one in sealed}) == 12
    assert [Vault(KEY, "a").open("p", one) for one in sealed] == [bytes([i]) for i in range(12)]


def test_digests_tell_nothing_without_the_key() -> None:
    values = [Vault(key, "a").digest(data) for key, data in itertools.product((KEY, KEY[::-1]), (b"1", b"2"))]
    assert len(set(values)) == 4
    assert Vault(KEY, "b").digest(b"1") == values[0]


def test_wrapped_keys_open_for_their_key_alone() -> None:
    wrapped = wrap(b"secret", KEY, "a")
    assert unwrap(b"secret", wrapped, "a") == KEY
    assert KEY not in wrapped
    assert wrap(b"secret", KEY, "a") != wrapped
    for secret, owner in ((b"other", "a"), (b"secret", "b")):
        with pytest.raises(CorruptStateError):
            unwrap(secret, wrapped, owner)
