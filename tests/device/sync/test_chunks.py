import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acclimate_device.sync import chunks
from acclimate_device.sync.chunks import ChunkStore, prune
from acclimate_shared.bundle import describe
from acclimate_shared.errors import DigestError, StateError
from acclimate_shared.release import CHUNK_BYTES, Listed
from tests.bundles import bundle_bytes
from tests.device.sync.conftest import Record

DATA = bundle_bytes(rows=60_000)  # 480 kB: 8 chunks
LISTED = describe(DATA, "1.0")


def chunk(index: int, data: bytes = DATA) -> bytes:
    return data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]


def fill(store: ChunkStore) -> None:
    for index in store.missing:
        assert store.put(index, chunk(index))


def test_a_bundle_becomes_whole(tmp_path: Path) -> None:
    with ChunkStore(tmp_path, LISTED) as store:
        assert store.missing == list(range(8))
        for index in (7, 0, 3):
            assert store.put(index, chunk(index))
        assert store.bitmap == bytes([0b10001001])
        with pytest.raises(RuntimeError, match="5 chunks are missing"):
            store.finish()
        fill(store)
        path = store.finish()
    assert path.read_bytes() == DATA
    assert [p.name for p in tmp_path.iterdir()] == [f"{LISTED.digest}.bundle"]
    with ChunkStore(tmp_path, LISTED) as again:  # nothing to fetch
        assert again.missing == []
        assert again.put(0, chunk(0))
        assert again.finish() == path


def test_nothing_is_written_that_was_not_signed(tmp_path: Path) -> None:
    with ChunkStore(tmp_path, LISTED) as store:
        for index, data in (
            (0, chunk(1)), (0, chunk(0)[:-1]), (0, chunk(0) + b"x"), (0, b""), (-1, chunk(7)), (8, b""), (7, chunk(0)),
        ):  # fmt: skip
            assert not store.put(index, data)
        assert (tmp_path / f"{LISTED.digest}.part").stat().st_size == 0
        assert len(store.missing) == 8


def test_a_finished_file_that_was_damaged_is_fetched_again(tmp_path: Path) -> None:
    with ChunkStore(tmp_path, LISTED) as store:
        fill(store)
        store.finish().write_bytes(DATA[:-1] + b"x")
    with ChunkStore(tmp_path, LISTED) as store:
        assert len(store.missing) == 8
        fill(store)
        assert store.finish().read_bytes() == DATA


def test_chunks_right_and_the_whole_wrong(tmp_path: Path) -> None:
    odd = Listed(digest="0" * 64, length=LISTED.length, release=LISTED.release)
    with ChunkStore(tmp_path, odd) as store:
        fill(store)
        with pytest.raises(DigestError):
            store.finish()
    assert list(tmp_path.iterdir()) == []


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "SPARE_BYTES", 1 << 62)
    with pytest.raises(StateError, match="no room"):
        ChunkStore(tmp_path, LISTED)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError, match="cannot be kept"):
        ChunkStore(tmp_path / "file", LISTED)


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "bundles"
    folder.mkdir()
    (folder / f"{LISTED.digest}.part").symlink_to(victim)
    with pytest.raises(StateError):
        ChunkStore(folder, LISTED)
    assert victim.read_bytes() == b"precious"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stored=st.sets(st.integers(0, 7)), bits=st.integers(0, 255), cut=st.integers(0, len(DATA)), zero=st.integers(0, 7)
)
def test_after_a_power_cut_only_what_is_right_is_there(
    tmp_path: Path, stored: set[int], bits: int, cut: int, zero: int
) -> None:
    """Whatever of data and bitmap reached the disk, in whatever order: no wrong chunk is believed."""
    part, mapped = tmp_path / f"{LISTED.digest}.part", tmp_path / f"{LISTED.digest}.map"
    data = bytearray(len(DATA))
    for index in stored - {zero}:
        data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES] = chunk(index)
    part.write_bytes(data[:cut])
    mapped.write_bytes(bytes([bits]))
    with ChunkStore(tmp_path, LISTED) as store:
        whole = {i for i in stored - {zero} if i * CHUNK_BYTES + LISTED.size(i) <= cut and bits >> i & 1}
        assert set(range(8)) - set(store.missing) == whole
        fill(store)
        path = store.finish()
    assert path.read_bytes() == DATA
    path.unlink()


def test_files_are_flushed_data_before_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(chunks, "SYNC_CHUNKS", 3)
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(Path(f"/proc/self/fd/{fd}").readlink().suffix))
    with ChunkStore(tmp_path, LISTED) as store:
        fill(store)
        store.finish()
    assert flushed == ["", *[".part", ".map"] * 3, ""]  # the folder, twice while filling, at the end, the folder


def test_old_downloads_are_removed(tmp_path: Path) -> None:
    with ChunkStore(tmp_path, LISTED) as store:
        store.put(0, chunk(0))
    (tmp_path / "notes.txt").write_text("mine")
    assert prune(tmp_path, {LISTED.digest}) == []
    assert prune(tmp_path, set()) == [LISTED.digest]
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


DOWNLOAD = """
import sys, msgspec
from pathlib import Path
from acclimate_device.sync.chunks import ChunkStore
from acclimate_shared.release import CHUNK_BYTES, Listed
folder, log = Path(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
data = Path(sys.argv[3]).read_bytes()
listed = msgspec.json.decode(Path(sys.argv[4]).read_bytes(), type=Listed)
with ChunkStore(folder, listed) as store:
    print("ready", flush=True)
    for index in store.missing:
        log.write(f"{index}\\n")
        store.put(index, data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
    store.finish()
print("done", flush=True)
"""


def killed_downloads(tmp_path: Path, kills: int, rows: int, seed: int) -> Counter[int]:
    """Download, killed at random moments; return how many chunks were fetched twice for how many kills."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    data = bundle_bytes(rows=rows)
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "listed").write_bytes(msgspec.json.encode(describe(data, "1.0")))
    log, script, found = tmp_path / "log", tmp_path / "download.py", Counter[int]()
    script.write_text(DOWNLOAD)
    log.touch()
    words = [
        sys.executable,
        str(script),
        str(tmp_path / "b"),
        str(log),
        str(tmp_path / "data"),
        str(tmp_path / "listed"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    middle = 0
    while found.total() < kills:
        before = Counter(log.read_text().split())
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.random() * 0.02)  # a real process: no fake clock can stop it in the middle of a write
            process.send_signal(signal.SIGKILL)
            done = b"done" in process.stdout.read()
        again = sum(1 for index in Counter(log.read_text().split()) - before if before[index])
        found[again] += 1
        middle += not done
        if done:
            path = next((tmp_path / "b").glob("*.bundle"))
            assert hashlib.sha256(path.read_bytes()).hexdigest() == describe(data, "1.0").digest
            path.unlink()
            log.write_text("")
    assert middle >= kills / 2  # most of the kills came before the end
    return found


@pytest.mark.slow
def test_killed_at_random_at_most_one_chunk_is_fetched_twice(tmp_path: Path) -> None:
    found = killed_downloads(tmp_path, kills=4, rows=1_000_000, seed=0)
    assert max(found) <= 1


@pytest.mark.long
def test_killed_100_times_at_most_one_chunk_is_fetched_twice(tmp_path: Path, record: Record) -> None:
    found = killed_downloads(tmp_path, kills=100, rows=1_000_000, seed=1)
    record("delivery", "100 kills: chunks fetched twice, how often", {str(k): v for k, v in sorted(found.items())})
    assert max(found) <= 1
