import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from acclimate_hub.releases import blobs as module
from acclimate_hub.releases.blobs import BlobStore, FolderBlobs, FsspecBlobs, open_blobs
from acclimate_shared.errors import DigestError, LinkError, MissingFileError, UsageError

DATA = b"some bundle" * 10
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    MemoryFileSystem.store.clear()
    yield open_blobs(str(tmp_path / "b") if request.param == "folder" else "memory://b")
    MemoryFileSystem.store.clear()


def test_keeps_by_digest(blobs: BlobStore) -> None:
    assert blobs.size(DIGEST) is None
    assert blobs.put(DATA) == blobs.put(DATA) == DIGEST
    assert blobs.size(DIGEST) == len(DATA)
    assert blobs.read(DIGEST) == DATA
    assert blobs.read(DIGEST, 5, 6) == b"bundle"
    assert blobs.read(DIGEST, len(DATA) - 3, 100) == b"dle"
    blobs.delete(DIGEST)
    blobs.delete(DIGEST)
    with pytest.raises(MissingFileError):
        blobs.read(DIGEST)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", DIGEST.upper(), DIGEST + "\n", DIGEST[:-1]])
def test_a_name_is_a_digest(blobs: BlobStore, name: str) -> None:
    for act in (blobs.size, blobs.read, blobs.delete):
        with pytest.raises(UsageError):
            act(name)


def test_a_changed_blob_is_found(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    blobs.put(DATA)
    path = next(tmp_path.rglob("*.bundle"))
    path.write_bytes(b"x" + DATA[1:])
    with pytest.raises(DigestError):
        blobs.read(DIGEST)


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_blobs(f"file://{tmp_path}"), FolderBlobs)
    assert isinstance(open_blobs("memory://x"), FsspecBlobs)
    with pytest.raises(UsageError, match="cannot be kept"):
        open_blobs("nowhere://x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LinkError):
        FolderBlobs(tmp_path / "file").put(DATA)
    monkeypatch.setattr(module, "MAX_BUNDLE_BYTES", 10)
    with pytest.raises(UsageError, match="too large"):
        FolderBlobs(tmp_path).put(DATA)
