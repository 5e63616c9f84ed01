"""A bundle on its way: chunks in a file, and a bitmap of those that are there.

A chunk is verified against its signed hash before a byte of it is written, so nothing unsigned is ever on disk. The
data are written first, then the bit. Both are flushed every megabyte and at the end; a bit that reached the disk before
its data is found when the file is opened again, for then every chunk with a bit is hashed. So after a kill nothing that
was stored is fetched again but the chunk being written, and after a power cut no more than a megabyte.
"""

import hashlib
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from acclimate_shared.durable import sync_folder
from acclimate_shared.errors import DigestError, StateError
from acclimate_shared.release import CHUNK_BYTES, Listed, path_of

SYNC_CHUNKS = 16  # between flushes: 1 MiB
SPARE_BYTES = 16 << 20  # of free disk that a download leaves
PART, MAP = ".part", ".map"


class ChunkStore:
    """See the module; a context manager.

    Attributes:
        listed: What is signed about the bundle.
        path: Where the bundle lies when it is complete.
    """

    def __init__(self, folder: Path, listed: Listed) -> None:
        """Open what is there of a bundle, or begin.

        Raises:
            StateError: If there is no room, or the disk refuses.
        """
        self.listed = listed
        self.path = folder / path_of(listed.digest)
        self._part, self._map = folder / (listed.digest + PART), folder / (listed.digest + MAP)
        self._hashes = listed.hashes()
        self._unsynced = 0
        self._data = self._bits = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._have = set(range(listed.count)) if self._complete() else self._open()
        except OSError as exc:
            self.close()
            raise StateError(f"a download cannot be kept: {exc}", field="folder", value=str(folder)) from exc

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Close the files; what is stored stays."""
        self.close()

    @property
    def missing(self) -> list[int]:
        """Numbers of the chunks that are not there, in order."""
        return [i for i in range(self.listed.count) if i not in self._have]

    @property
    def bitmap(self) -> bytes:
        """One bit a chunk, lowest first, 1 where it is there."""
        bits = bytearray(-(-self.listed.count // 8))
        for i in self._have:
            bits[i // 8] |= 1 << i % 8
        return bytes(bits)

    def put(self, index: int, data: bytes) -> bool:
        """Verify and store a chunk.

        Args:
            index: Of the chunk, from 0.
            data: That somebody says it is.

        Returns:
            Whether it is what was signed; if not, nothing is stored.

        Raises:
            StateError: If the disk refuses.
        """
        if not 0 <= index < self.listed.count or len(data) != self.listed.size(index):
            return False
        if hashlib.sha256(data).digest() != self._hashes[index]:
            return False
        if index in self._have:
            return True
        try:
            _write(self._data, data, index * CHUNK_BYTES)
            self._have.add(index)
            _write(self._bits, bytes([sum(1 << b for b in range(8) if index // 8 * 8 + b in self._have)]), index // 8)
            self._unsynced += 1
            if self._unsynced >= SYNC_CHUNKS:
                self._sync()
        except OSError as exc:
            raise StateError(f"a chunk cannot be stored: {exc}", field="chunk", value=index) from exc
        return True

    def finish(self) -> Path:
        """Check the whole file and give it its name.

        Returns:
            Where it lies.

        Raises:
            RuntimeError: If chunks are missing.
            DigestError: If the whole has not the signed digest; the download starts again.
            StateError: If the disk refuses.
        """
        if self._data < 0:
            return self.path
        if self.missing:
            raise RuntimeError(f"{len(self.missing)} chunks are missing")
        try:
            self._sync()
            if _digest(self._part) != self.listed.digest:
                self._part.unlink()
                self._map.unlink()
                raise DigestError("the bundle has not the signed digest", field="digest", value=self.listed.digest)
            self._part.rename(self.path)
            self._map.unlink()
            sync_folder(self.path.parent)
        except OSError as exc:
            raise StateError(f"a download cannot be kept: {exc}", field="file", value=str(self.path)) from exc
        self.close()
        return self.path

    def close(self) -> None:
        """Close the files."""
        for descriptor in (self._data, self._bits):
            if descriptor >= 0:
                os.close(descriptor)
        self._data = self._bits = -1

    def _complete(self) -> bool:
        return self.path.is_file() and _digest(self.path) == self.listed.digest

    def _open(self) -> set[int]:
        """Open both files and return the chunks that are there and right."""
        size = self.listed.length
        known = self._part.stat().st_size if self._part.exists() else 0
        free = shutil.disk_usage(self._part.parent).free
        if free < size - known + SPARE_BYTES:
            raise StateError("no room for the bundle", field="free", value=free, remedy="free some disk")
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        self._data, self._bits = os.open(self._part, flags, 0o600), os.open(self._map, flags, 0o600)
        bits = os.pread(self._bits, -(-self.listed.count // 8), 0)
        if os.fstat(self._data).st_size > size:
            os.ftruncate(self._data, size)
        marked = [i for i in range(self.listed.count) if i // 8 < len(bits) and bits[i // 8] >> i % 8 & 1]
        have = {i for i in marked if hashlib.sha256(self._chunk(i)).digest() == self._hashes[i]}
        if known == 0:
            sync_folder(self._part.parent)
        return have

    def _chunk(self, index: int) -> bytes:
        return os.pread(self._data, self.listed.size(index), index * CHUNK_BYTES)

    def _sync(self) -> None:
        os.fsync(self._data)
        os.fsync(self._bits)
        self._unsynced = 0


def prune(folder: Path, keep: set[str]) -> list[str]:
    """Remove bundles and unfinished downloads but those of the digests to keep.

    Returns:
        The digests that were removed.

    Raises:
        StateError: If the disk refuses.
    """
    gone = set()
    try:
        for path in sorted(folder.glob("*")):
            digest = path.name.removesuffix(path.suffix)
            if path.suffix in {PART, MAP, ".bundle"} and digest not in keep:
                path.unlink()
                gone.add(digest)
    except OSError as exc:
        raise StateError(f"old bundles cannot be removed: {exc}", field="folder", value=str(folder)) from exc
    return sorted(gone)


def _write(descriptor: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
