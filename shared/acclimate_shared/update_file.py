"""An update file: the whole chain of signed metadata and the bundle, for a device that no network reaches.

It carries what a hub would serve under ``tuf/{name}``, so that a device verifies it by the same code, from its own
trusted root. Nothing in the file is believed because it is in the file: the target that it names must be listed in
metadata that verifies, and each chunk of the bundle must have the hash that is signed there.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import BinaryIO

from acclimate_shared.container import Container, ContainerError, Kind, pack
from acclimate_shared.errors import MissingFileError
from acclimate_shared.release import MAX_BUNDLE_BYTES

BUNDLE = "bundle"
TARGET = "target"  # in the meta of the file: the digest of the bundle
MAX_METADATA_FILES = 300  # a root for each rotation since the first, and three more
METADATA_NAME = re.compile(r"timestamp\.json|[1-9]\d{0,9}\.(?:root|snapshot|targets)\.json")
KIND = Kind(
    magic=b"ACCLUPD1",
    name=re.compile(rf"{BUNDLE}|{METADATA_NAME.pattern}"),
    max_parts=MAX_METADATA_FILES + 1,
    max_part_bytes=MAX_BUNDLE_BYTES,
)
_REMEDY = "export the update file again"
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def write_update(metadata: Mapping[str, bytes], bundle: bytes) -> bytes:
    """Return an update file.

    Args:
        metadata: By name: every ``N.root.json``, ``timestamp.json``, and the snapshot and targets it leads to.
        bundle: The file of the bundle.

    Raises:
        ContainerError: If a name is not one of metadata, or something is too large.
    """
    return pack(KIND, {TARGET: hashlib.sha256(bundle).hexdigest()}, dict(sorted(metadata.items())) | {BUNDLE: bundle})


def open_update(file: BinaryIO) -> tuple[Container, str]:
    """Open an update file.

    Returns:
        Its parts, and the digest that it claims for its bundle.

    Raises:
        PackageError: If it is not an update file.
    """
    container = Container(file, KIND)
    digest = container.meta.get(TARGET)
    if set(container.meta) != {TARGET} or not isinstance(digest, str) or not _DIGEST.match(digest):
        raise ContainerError("the update file names no bundle", field=TARGET, value=digest, remedy=_REMEDY)
    if BUNDLE not in container.sizes:
        raise MissingFileError("the update file holds no bundle", field=BUNDLE, remedy=_REMEDY)
    return container, digest
