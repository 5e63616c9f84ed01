"""Files that the journal writes to: sectors, durable when ``write`` returns, and counted.

A sector is written past the page cache where the file system allows it (``O_DIRECT``), so that a label costs 512 bytes
of wear rather than a page of 4,096. Files grow by EXTENT_BYTES of zeros at a time and are used again under another
name, so that most writes change no metadata.
"""

import mmap
import os
from pathlib import Path
from typing import Protocol

SECTOR_BYTES = 512  # of a disk; the least that is written
EXTENT_BYTES = 65_536  # by which a file grows
_STAGE_BYTES = 65_536  # aligned memory that is written from


class Segment(Protocol):
    """One file of the journal."""

    written: int  # bytes, since it was opened

    def write(self, offset: int, data: bytes) -> None:
        """Write whole sectors; they are durable when this returns.

        Raises:
            OSError: the disk refuses; the sectors may be anything.
        """

    def close(self) -> None:
        """Release the file."""


class FileSegment:
    """A segment on a disk."""

    def __init__(self, path: Path) -> None:
        """Open or create a file.

        Raises:
            OSError: the disk refuses.
        """
        self.written = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_DSYNC
        try:
            self._handle = os.open(path, flags | getattr(os, "O_DIRECT", 0), 0o600)
        except OSError:  # a file system in memory, for one
            self._handle = os.open(path, flags, 0o600)
        self._size = os.fstat(self._handle).st_size
        self._stage = mmap.mmap(-1, _STAGE_BYTES)

    def write(self, offset: int, data: bytes) -> None:
        """Write whole sectors at an offset; see ``Segment``."""
        while self._size < offset + len(data):
            self._put(self._size, bytes(EXTENT_BYTES))
            self._size += EXTENT_BYTES
        self._put(offset, data)

    def _put(self, offset: int, data: bytes) -> None:
        at = 0
        while at < len(data):
            part = data[at : at + _STAGE_BYTES]
            self._stage[: len(part)] = part
            with memoryview(self._stage) as view, view[: len(part)] as staged:
                done = os.pwrite(self._handle, staged, offset + at)
            if done % SECTOR_BYTES or not done:
                raise OSError(f"only {done} bytes of {len(part)} were written")
            self.written += done
            at += done

    def close(self) -> None:
        """Release the file."""
        os.close(self._handle)
        self._stage.close()
