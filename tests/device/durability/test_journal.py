"""The journal: what was acknowledged is read again, in order, and nothing else."""

import contextlib
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.journal import Journal, Mark, Reader, path_of
from acclimate_device.records import Committed, Given, Record, decode, encode, thick, thin
from acclimate_device.segment import SECTOR_BYTES, FileSegment, Segment
from acclimate_device.vault import Vault
from acclimate_shared.errors import CorruptStateError, StateError

VAULT = Vault(bytes(32), "owner")
MARK = Mark(1, b"c" * 16)


def label(number: int, text: str = "on") -> Given:
    return Given(number, f"boot-{number}", text, 1.0, number % 7)


def journal(folder: Path, **options: object) -> Journal:
    return Journal(folder, VAULT, MARK, idle_s=None, **options)  # type: ignore[arg-type]


def read(folder: Path, mark: Mark = MARK) -> list[Record]:
    return list(Reader(folder, VAULT).records(mark))


class Disk:
    """A segment that fails, or dies in the middle of a write, when it is told to."""

    def __init__(self, path: Path) -> None:
        self._file, self.written, self.broken, self.writes = FileSegment(path), 0, False, 0
        self.gate: threading.Event | None = None

    def write(self, offset: int, data: bytes) -> None:
        if self.gate:
            self.gate.wait(10)
        if self.broken:
            self._file.write(offset, data[: len(data) // 2 // SECTOR_BYTES * SECTOR_BYTES])
            raise OSError(28, "No space left on device")
        self._file.write(offset, data)
        self.writes += 1
        self.written += len(data)

    def close(self) -> None:
        self._file.close()


def test_what_is_synced_comes_back(tmp_path: Path) -> None:
    records: list[Record] = [label(i, "x" * (i * 40)) for i in range(30)]
    first = journal(tmp_path)
    for record in records[:29]:
        first.sync(first.append(record))
    first.append(records[29])
    assert read(tmp_path) == records[:29]  # as if power failed now
    first.close()
    assert read(tmp_path) == records


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    first = journal(tmp_path)
    first.sync(first.append(label(1)))
    first.close()
    reader = Reader(tmp_path, VAULT)
    assert list(reader.records(MARK)) == [label(1)]
    second = Journal(tmp_path, VAULT, reader.end, idle_s=None)
    second.sync(second.append(label(2)))
    second.close()
    assert read(tmp_path) == [label(1), label(2)]


def test_turning_and_forgetting(tmp_path: Path) -> None:
    one = journal(tmp_path)
    marks = [MARK]
    for i in range(6):
        one.append(label(i))
        marks.append(one.turn())
        one.sync()
        one.forget(marks[-1].number - 1)
    one.sync(one.append(label(6)))
    one.close()
    assert read(tmp_path, marks[5]) == [label(5), label(6)]
    assert read(tmp_path, marks[6]) == [label(6)]
    assert read(tmp_path, MARK) == []  # its file was used again
    assert len(list(tmp_path.iterdir())) <= 3


@pytest.mark.parametrize("place", ["tail", "middle"])
def test_torn_and_damaged_groups_are_told_apart(tmp_path: Path, place: str) -> None:
    one = journal(tmp_path)
    for i in range(8):
        one.sync(one.append(label(i)))
    one.close()
    path = path_of(tmp_path, 1)
    data = bytearray(path.read_bytes())
    at = 7 if place == "tail" else 3
    data[at * SECTOR_BYTES + 60] ^= 1
    path.write_bytes(data)
    reader = Reader(tmp_path, VAULT)
    assert list(reader.records(MARK)) == [label(i) for i in range(at)]
    assert bool(reader.put_away()) == (place == "middle")
    assert path.exists() == (place == "tail")


@given(cut=st.integers(0, 8 * SECTOR_BYTES), junk=st.binary(max_size=2000))
def test_any_tail_leaves_a_prefix(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("journal")
    one = journal(folder)
    for i in range(8):
        one.sync(one.append(label(i)))
    one.close()
    path = path_of(folder, 1)
    path.write_bytes(path.read_bytes()[:cut] + junk)
    found = read(folder)
    assert found == [label(i) for i in range(len(found))]
    assert len(found) >= cut // SECTOR_BYTES


def test_groups_of_another_time_do_not_fit(tmp_path: Path) -> None:
    folders = []
    for text in ("old", "new"):
        folder = tmp_path / text
        folder.mkdir()
        one = journal(folder)
        for i in range(4):
            one.sync(one.append(label(i, text)))
        one.close()
        folders.append(path_of(folder, 1))
    old, new = (path.read_bytes() for path in folders)
    folders[1].write_bytes(new[: 2 * SECTOR_BYTES] + old[2 * SECTOR_BYTES :])
    assert [r.label for r in read(tmp_path / "new") if isinstance(r, Given)] == ["new", "new"]


def test_a_disk_that_refuses_loses_nothing_and_acknowledges_nothing(tmp_path: Path) -> None:
    disk: list[Disk] = []

    def opener(path: Path) -> Segment:
        disk.append(Disk(path))
        return disk[-1]

    one = journal(tmp_path, opener=opener)
    one.sync(one.append(label(0)))
    disk[0].broken = True
    ticket = one.append(label(1, "x" * 4000))
    kept = one.append(Committed([b"line"]))
    with pytest.raises(StateError, match="No space left"):
        one.sync(ticket)
    one.retract(ticket)
    assert read(tmp_path) == [label(0)]
    disk[0].broken = False
    one.sync(kept)
    one.close()
    assert read(tmp_path) == [label(0), Committed([b"line"])]


def test_threads_share_a_write(tmp_path: Path) -> None:
    disk: list[Disk] = []

    def opener(path: Path) -> Segment:
        disk.append(Disk(path))
        disk[0].gate = gate
        return disk[0]

    gate, one = threading.Event(), journal(tmp_path, opener=opener)
    threads = [threading.Thread(target=lambda i=i: one.sync(one.append(label(i)))) for i in range(40)]
    for thread in threads:
        thread.start()
    while one._ticket < 40:
        threading.Event().wait(0.001)
    gate.set()
    for thread in threads:
        thread.join()
    one.close()
    assert disk[0].writes <= 3
    assert sorted(r.sequence for r in read(tmp_path) if isinstance(r, Given)) == list(range(40))


@given(st.lists(st.floats(width=64), max_size=20))
def test_numbers_keep_every_bit(numbers: list[float]) -> None:
    import numpy as np

    array = np.array(numbers)
    assert thick(thin(array), [-1]).tobytes() == array.tobytes()
    narrow = array[np.isfinite(array) & (np.abs(array) < 1e30)].astype(np.float32).astype(np.float64)
    assert len(thin(narrow)) == 1 + 4 * len(narrow)


@given(st.binary(max_size=200))
def test_strange_bytes_are_refused(data: bytes) -> None:
    with contextlib.suppress(CorruptStateError):
        assert decode(encode(decode(data))) == decode(data)
