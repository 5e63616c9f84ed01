"""What an author hands over: a folder with ``metadata`` and ``bundles``, as `acclimate-author release` leaves it."""

from pathlib import Path

from acclimate_hub.limits import MAX_METADATA_BYTES
from acclimate_shared.bundle import digest_of
from acclimate_shared.errors import UsageError
from acclimate_shared.release import MAX_BUNDLE_BYTES
from acclimate_shared.update_file import METADATA_NAME


def read_fleet(folder: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return signed metadata by name, and bundles by digest; nothing in them is believed yet.

    Raises:
        UsageError: the folder is none of an author, or a file is too large.
    """
    try:
        files = {path.name: _read(path, MAX_METADATA_BYTES) for path in sorted((folder / "metadata").iterdir())
                 if METADATA_NAME.fullmatch(path.name)}  # fmt: skip
        blobs = [_read(path, MAX_BUNDLE_BYTES) for path in sorted((folder / "bundles").iterdir()) if path.is_file()]
    except OSError as exc:
        remedy = "name the folder that was given to acclimate-author release"
        raise UsageError(f"this cannot be read: {exc}", field="folder", value=str(folder), remedy=remedy) from exc
    return files, {digest_of(data): data for data in blobs}


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UsageError(f"a file has more than {most} bytes", field="file", value=str(path))
    return data
