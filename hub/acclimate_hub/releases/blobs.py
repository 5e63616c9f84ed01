"""Bundles by digest: a folder on this machine, or any place that fsspec reaches.

What a blob is called is the SHA-256 of its content, so putting it twice is putting it once, and a changed one is found
when it is read. ``open_blobs`` chooses by URL: a plain path or ``file://`` needs nothing else; ``s3://``, ``memory://``
and others need `fsspec` and its driver for that place.
"""

import hashlib
import re
from pathlib import Path
from typing import Any, Protocol

from acclimate_shared.durable import write_file
from acclimate_shared.errors import DigestError, LinkError, MissingFileError, UsageError
from acclimate_shared.release import MAX_BUNDLE_BYTES, path_of

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_REMEDY = "give 64 hex digits"


class BlobStore(Protocol):
    """Keeps bundles by digest; errors of the place come as ``LinkError``."""

    def put(self, data: bytes) -> str:
        """Keep a blob and return its digest.

        Raises:
            UsageError: If it is too large.
            LinkError: If the place refuses.
        """

    def size(self, digest: str) -> int | None:
        """Return the bytes of a blob, or None where there is none.

        Raises:
            LinkError: If the place does not answer.
        """

    def read(self, digest: str, start: int = 0, size: int | None = None) -> bytes:
        """Return a blob, checked against its digest, or ``size`` bytes of it from ``start``, unchecked.

        Raises:
            MissingFileError: If there is no such blob.
            DigestError: If it was changed.
            LinkError: If the place does not answer.
        """

    def delete(self, digest: str) -> None:
        """Remove a blob; one that is not there is no error.

        Raises:
            LinkError: If the place refuses.
        """


class FolderBlobs:
    """Blobs in a folder of this machine, spread over 256 subfolders."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made with the first blob."""
        self._folder = folder

    def put(self, data: bytes) -> str:
        """See ``BlobStore``."""
        digest = _checked(data)
        try:
            if self.size(digest) != len(data):
                write_file(self._path(digest), data)
        except OSError as exc:
            raise _unanswered(exc, self._folder) from exc
        return digest

    def size(self, digest: str) -> int | None:
        """See ``BlobStore``."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise _unanswered(exc, self._folder) from exc

    def read(self, digest: str, start: int = 0, size: int | None = None) -> bytes:
        """See ``BlobStore``."""
        try:
            with self._path(digest).open("rb") as file:
                file.seek(start)
                data = file.read(-1 if size is None else size)
        except FileNotFoundError as exc:
            raise _absent(digest) from exc
        except OSError as exc:
            raise _unanswered(exc, self._folder) from exc
        return _verified(digest, data) if start == 0 and size is None else data

    def delete(self, digest: str) -> None:
        """See ``BlobStore``."""
        try:
            self._path(digest).unlink(missing_ok=True)
        except OSError as exc:
            raise _unanswered(exc, self._folder) from exc

    def _path(self, digest: str) -> Path:
        return self._folder / _known(digest)[:2] / path_of(digest)


class FsspecBlobs:
    """Blobs in any place that fsspec reaches."""

    def __init__(self, url: str) -> None:
        """Use the place of a URL.

        Raises:
            UsageError: If fsspec, or its driver for that place, is not installed.
        """
        try:
            from fsspec.core import url_to_fs

            self._files, self._root = url_to_fs(url)
        except (ImportError, ValueError) as exc:
            remedy = "install fsspec and its driver, or give a folder"
            raise UsageError(f"blobs cannot be kept there: {exc}", field="url", value=url, remedy=remedy) from exc

    def put(self, data: bytes) -> str:
        """See ``BlobStore``; object stores show a blob when it is whole."""
        digest = _checked(data)
        path = self._path(digest)
        try:
            if self.size(digest) != len(data):
                self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._files.pipe_file(path, data)
        except OSError as exc:
            raise _unanswered(exc, self._root) from exc
        return digest

    def size(self, digest: str) -> int | None:
        """See ``BlobStore``."""
        try:
            found: Any = self._files.info(self._path(digest))
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise _unanswered(exc, self._root) from exc
        return int(found["size"])

    def read(self, digest: str, start: int = 0, size: int | None = None) -> bytes:
        """See ``BlobStore``."""
        try:
            end = None if size is None else start + size
            data = bytes(self._files.cat_file(self._path(digest), start=start, end=end))
        except FileNotFoundError as exc:
            raise _absent(digest) from exc
        except OSError as exc:
            raise _unanswered(exc, self._root) from exc
        return _verified(digest, data) if start == 0 and size is None else data

    def delete(self, digest: str) -> None:
        """See ``BlobStore``."""
        try:
            self._files.rm_file(self._path(digest))
        except FileNotFoundError:
            return
        except OSError as exc:
            raise _unanswered(exc, self._root) from exc

    def _path(self, digest: str) -> str:
        return f"{self._root}/{_known(digest)[:2]}/{path_of(digest)}"


def open_blobs(url: str) -> BlobStore:
    """Return the blobs at a URL or in a folder.

    Raises:
        UsageError: If nothing here can reach it.
    """
    if "://" not in url:
        return FolderBlobs(Path(url))
    return FolderBlobs(Path(url.removeprefix("file://"))) if url.startswith("file://") else FsspecBlobs(url)


def _known(digest: str) -> str:
    if not _DIGEST.match(digest):
        raise UsageError("not a digest", field="digest", value=digest, remedy=_REMEDY)
    return digest


def _checked(data: bytes) -> str:
    if len(data) > MAX_BUNDLE_BYTES:
        raise UsageError("too large for a bundle", field="bytes", value=len(data), remedy="make the learner smaller")
    return hashlib.sha256(data).hexdigest()


def _verified(digest: str, data: bytes) -> bytes:
    if hashlib.sha256(data).hexdigest() != digest:
        raise DigestError("a blob was changed", field="digest", value=digest, remedy="put the bundle again")
    return data


def _absent(digest: str) -> MissingFileError:
    return MissingFileError("no such blob", field="digest", value=digest, remedy="put the bundle first")


def _unanswered(exc: OSError, place: object) -> LinkError:
    return LinkError(f"blobs cannot be reached: {exc}", field="place", value=str(place), remedy="try again later")
