"""What python-tuf does for a device: follow the roots, refuse what is old, forged or mixed, and find a release.

The only file that imports python-tuf, and only ``verify`` imports it. The client workflow is that of the TUF
specification 1.0, §5, as `tuf.ngclient.Updater` has it. Two things are added. Its clock is ours: a gateway's may have
lost its battery, so now is the latest of the hardware clock, the time this version was built, and the time of the last
verification that succeeded. (That one lies before the end of what was verified then, so a clock that once ran ahead
cannot lock a device out for longer than a timestamp is good.) And what it keeps is flushed to disk before it counts:
trust that a power cut forgets is an invitation to roll back.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
)
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from acclimate_device.sync.source import MetadataSource
from acclimate_shared.durable import write_file
from acclimate_shared.errors import AcclimateError, LinkError, StateError
from acclimate_shared.release import ExpiredError, Listed, TrustError, UnlistedError, from_target, path_of

BUILT = datetime(2026, 11, 23, tzinfo=UTC)  # no earlier than the last release of this package
LIMITS = UpdaterConfig(
    max_root_rotations=256,
    root_max_length=512_000,  # bytes
    timestamp_max_length=16_384,
    snapshot_max_length=65_536,
    targets_max_length=5_000_000,
    prefix_targets_with_hash=False,
)
_URL = "acclimate:/"
_NOT_FOUND = 404
_REMEDY = "what runs goes on; ask the author of the releases"


class _Clock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time of the last verification that succeeded, seconds since 1970."""

    trusted_s: float


class _Fetcher(FetcherInterface):
    """Gives python-tuf the bytes of a source."""

    def __init__(self, source: MetadataSource) -> None:
        self._source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter([self.download_bytes(url, LIMITS.targets_max_length)])

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return a file of at most ``max_length`` bytes.

        Raises:
            DownloadHTTPError: If there is none.
        """
        data = self._source.fetch(url.removeprefix(_URL), max_length)
        if data is None:
            raise DownloadHTTPError(f"{url} is not there", _NOT_FOUND)
        return data


class _DurableUpdater(Updater):
    """Flushes what it keeps."""

    def _persist_file(self, filename: str, data: bytes) -> None:
        write_file(Path(filename), data)


def verify_release(source: MetadataSource, folder: Path, root: bytes, digest: str, rtc: datetime) -> Listed:
    """Bring the trusted metadata of a device up to date and find a release in them.

    Args:
        source: Of metadata, not trusted.
        folder: Where trusted metadata are kept; one process at a time.
        root: The root that the device was given when it was set up.
        digest: Of the bundle that is wanted.
        rtc: Time of the hardware clock.

    Returns:
        What is signed about the bundle.

    Raises:
        ExpiredError: If the newest metadata have expired.
        UnlistedError: If no signed metadata list the bundle.
        TrustError: If signatures, versions or hashes are not right.
        LinkError: If the source does not answer.
        StateError: If the folder cannot be used.
    """
    now = max(rtc, BUILT, _trusted_time(folder))
    try:
        (folder / "metadata").mkdir(parents=True, exist_ok=True)
        updater = _DurableUpdater(
            str(folder / "metadata"), _URL, fetcher=_Fetcher(source), config=LIMITS, bootstrap=root
        )
        updater._trusted_set.reference_time = now  # noqa: SLF001 - there is no other way to give it a clock
        updater.refresh()
        target = updater.get_targetinfo(path_of(digest))
    except AcclimateError:
        raise
    except ExpiredMetadataError as exc:
        raise ExpiredError(f"signed metadata have expired: {exc}", field="expires", value=now, remedy=_REMEDY) from exc
    except (RepositoryError, DownloadLengthMismatchError) as exc:
        raise TrustError(f"metadata do not verify: {exc}", remedy=_REMEDY) from exc
    except DownloadError as exc:
        raise LinkError(f"metadata are missing: {exc}", remedy="try again later") from exc
    except OSError as exc:
        raise StateError(f"trusted metadata cannot be kept: {exc}", field="folder", value=str(folder)) from exc
    if target is None:
        raise UnlistedError("no signed release has this digest", field="digest", value=digest, remedy=_REMEDY)
    listed = from_target(target.path, target.length, target.hashes, target.custom)
    write_file(folder / "clock.json", msgspec.json.encode(_Clock(trusted_s=now.timestamp())))
    return listed


def _trusted_time(folder: Path) -> datetime:
    try:
        kept = msgspec.json.decode((folder / "clock.json").read_bytes(), type=_Clock)
        return datetime.fromtimestamp(kept.trusted_s, UTC)
    except FileNotFoundError:
        return BUILT
    except (OSError, msgspec.MsgspecError, ValueError, OverflowError) as exc:
        raise StateError("the kept time cannot be read", field="clock.json", value=str(folder)) from exc
