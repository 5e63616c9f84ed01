"""Where signed metadata come from: a link, a folder, an update file, or memory.

A source is not trusted. It gives bytes by name, or None where there is no such file; it never gives more than it is
asked for. ``LinkError`` means that the other side did not answer.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from acclimate_shared.container import Container
from acclimate_shared.errors import LinkError
from acclimate_shared.release import TrustError
from acclimate_shared.update_file import METADATA_NAME


class MetadataSource(Protocol):
    """Gives the files that a hub serves as ``tuf/{name}``."""

    def fetch(self, name: str, max_bytes: int) -> bytes | None:
        """Return a file, or None where there is none.

        Raises:
            LinkError: If the other side does not answer.
            TrustError: If it would give more than ``max_bytes``.
        """


def bounded(data: bytes, name: str, max_bytes: int) -> bytes:
    """Return the data.

    Raises:
        TrustError: If they are more than ``max_bytes``.
    """
    if len(data) > max_bytes:
        raise TrustError("a metadata file is larger than it may be", field=name, value=len(data))
    return data


class MemorySource:
    """Files in a mapping."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Serve the files, as they are when they are asked for."""
        self.files = files

    def fetch(self, name: str, max_bytes: int) -> bytes | None:
        """See ``MetadataSource``."""
        data = self.files.get(name)
        return None if data is None else bounded(data, name, max_bytes)


class FolderSource:
    """Files in a folder, such as the retained messages that the link has put there."""

    def __init__(self, folder: Path) -> None:
        """Serve the files of a folder."""
        self._folder = folder

    def fetch(self, name: str, max_bytes: int) -> bytes | None:
        """See ``MetadataSource``; a name that no metadata have is not looked for."""
        if not METADATA_NAME.fullmatch(name):
            return None
        try:
            with (self._folder / name).open("rb") as file:
                return bounded(file.read(max_bytes + 1), name, max_bytes)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise LinkError(f"the folder cannot be read: {exc}", field=name, value=str(self._folder)) from exc


class UpdateFileSource:
    """The metadata in an update file."""

    def __init__(self, container: Container) -> None:
        """Serve the parts of an opened update file."""
        self._container = container

    def fetch(self, name: str, max_bytes: int) -> bytes | None:
        """See ``MetadataSource``."""
        size = self._container.sizes.get(name)
        if size is None or not METADATA_NAME.fullmatch(name):
            return None
        if size > max_bytes:
            raise TrustError("a metadata file is larger than it may be", field=name, value=size)
        return self._container.read(name)
