"""What is sealed opens only where it was put, and no nonce is used twice."""

import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.agent import Agent
from acclimate_device.journal import HEAD as GROUP
from acclimate_device.journal import MAGIC, PREFIX
from acclimate_device.segment import SECTOR_BYTES
from acclimate_device.store_tables import FILE
from acclimate_device.vault import COUNTER_BYTES, OVERHEAD, SALT_BYTES, Vault, unwrap, wrap
from acclimate_device.wipe import rotate
from acclimate_shared.errors import CorruptStateError
from tests.device.durability.moments import OPTIONS
from tests.device.test_agent import events, taught

SEALED = (
    ("tensor", "data"), ("checkpoint", "body"), ("waiting", "body"), ("lineage", "line"),
    ("(SELECT value FROM meta WHERE name = 'binding')", "value"),
)  # fmt: skip
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


def test_a_process_that_forks_counts_apart() -> None:
    vault = Vault(KEY, "a")
    first, (out, into) = heads([vault], 3), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(into, b"".join(heads([vault], 10)))
        os._exit(0)
    os.waitpid(child, 0)
    data = os.read(out, 10_000)
    os.close(into)
    os.close(out)
    theirs = [data[at : at + HEAD] for at in range(0, len(data), HEAD)]
    assert len({*first, *theirs, *heads([vault], 10)}) == 23


def sealed_in(folder: Path) -> Iterator[bytes]:
    """Yield every sealed record of a state folder."""
    with closing(sqlite3.connect(folder / FILE)) as database:
        for table, column in SEALED:
            for (body,) in database.execute(f"SELECT {column} FROM {table}"):  # noqa: S608 (our own names)
                yield bytes.fromhex(body) if isinstance(body, str) else body
    for path in folder.glob(PREFIX + "*"):
        data = path.read_bytes()
        for at in range(0, len(data) - GROUP.size, SECTOR_BYTES):
            magic, size, _, _ = GROUP.unpack_from(data, at)
            if magic == MAGIC:
                yield data[at + GROUP.size : at + GROUP.size + size]


def test_no_nonce_comes_twice_in_folders_that_were_copied_rotated_and_went_on(tmp_path: Path) -> None:
    seen: dict[bytes, bytes] = {}
    count = 0

    def live(folder: Path, begin: int) -> None:
        nonlocal count
        with Agent(**OPTIONS, state=folder) as agent:
            taught(agent, events(begin + 40)[begin:])
            agent.commit()
            taught(agent, events(begin + 44)[begin + 40 :])
        for record in sealed_in(folder):
            count += 1
            assert seen.setdefault(record[:HEAD], record) == record

    live(tmp_path / "a", 0)
    old = Path(shutil.copytree(tmp_path / "a", tmp_path / "old"))
    live(tmp_path / "a", 44)
    live(old, 44)  # a restored copy goes on beside its original
    rotate(old)
    live(old, 88)
    live(tmp_path / "a", 88)
    assert count > 300
    assert len(seen) > 200


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
