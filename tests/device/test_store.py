"""Checkpoints: whole or not at all, tied to their run, damage detected."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from acclimate_device.spare import COPY
from acclimate_device.store import Store
from acclimate_device.store_tables import FILE
from acclimate_shared.errors import CorruptStateError, StateError, StateMismatchError


def test_what_is_committed_comes_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = {"a": np.array([[1.5, np.nan, np.inf]]), "b": np.arange(4), "empty": np.zeros((0, 3), np.float32)}
    store = Store(tmp_path)
    assert store.load() is None
    store.commit(tensors, {"doc": {"x": 0.1, "n": None}})
    store.close()
    store = Store(tmp_path)
    loaded = store.load()
    store.close()
    assert loaded is not None
    for name, array in tensors.items():
        assert loaded[0][name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[0][name], array)
    assert loaded[1] == {"doc": {"x": 0.1, "n": None}}


def test_tensors_that_nothing_names_leave(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(20):
        store.commit({"t": np.full(1000, i), "same": np.zeros(10)}, {})
    count = store._connection.execute("SELECT count(*) FROM tensor").fetchone()[0]
    store.close()
    assert count == 3  # the checkpoint before the last one is kept


def test_a_failed_commit_leaves_the_last_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit({"t": np.ones(3)}, {"n": 1})
    with pytest.raises(ValueError, match="JSON"):
        store.commit({"t": np.zeros(3)}, {"n": float("nan")})
    loaded = store.load()
    store.close()
    assert loaded is not None
    np.testing.assert_array_equal(loaded[0]["t"], np.ones(3))


def test_a_state_is_tied_to_its_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.bind({"seed": 1, "file": "a"})
    store.bind({"seed": 1, "file": "a"})
    with pytest.raises(StateMismatchError, match="seed was 1"):
        store.bind({"seed": 2, "file": "a"})
    with pytest.raises(StateMismatchError, match="more"):
        store.bind({"seed": 1, "file": "a", "more": True})
    store.close()


def test_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acclimate_device.store.BUSY_S", 0.05)
    store = Store(tmp_path)
    store.commit({}, {"n": 1})
    with pytest.raises(StateError, match="another process"):
        Store(tmp_path)
    store.close()


def test_a_damaged_tensor_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit({"weights": np.ones(8)}, {"n": 1})
    store.close()
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("UPDATE tensor SET data = zeroblob(64)")
    connection.commit()
    connection.close()
    (tmp_path / COPY).unlink()
    store = Store(tmp_path)
    with pytest.raises(CorruptStateError, match="weights"):
        store.load()
    store.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(CorruptStateError):
        Store(tmp_path)


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError):
        Store(tmp_path / "file")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store._connection.execute("UPDATE meta SET value = '99' WHERE name = 'format'")
    store.close()
    with pytest.raises(StateMismatchError, match="format"):
        Store(tmp_path)
