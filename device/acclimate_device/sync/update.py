"""A released bundle, from the wish for a digest to a verified file: over a link or from a stick, the same way.

    verify signed metadata (a process of its own) -> does it fit this device? -> fetch missing chunks -> check the whole
    -> parse it

Nothing is installed here. What comes out is a bundle that was signed for the fleet and fits the device; that it does
not serve before its contest has spoken is the business of others.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import acclimate_shared
from acclimate_device.limits_of_host import read_limits
from acclimate_device.sync import step
from acclimate_device.sync.chunks import ChunkStore
from acclimate_device.sync.pull import ChunkTransport, PullLimits, PullReport, pull
from acclimate_device.sync.source import MetadataSource, UpdateFileSource
from acclimate_shared.bundle import Bundle, read_bundle
from acclimate_shared.constraints import ConstraintError, Facts
from acclimate_shared.container import Container
from acclimate_shared.durable import write_file
from acclimate_shared.errors import LinkError, PackageError, StateError, UsageError
from acclimate_shared.release import CHUNK_BYTES, Listed, TrustError
from acclimate_shared.update_file import BUNDLE, open_update

Verify = Callable[[MetadataSource, Path, Path, str, datetime], Listed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a device keeps what it trusts and what it has fetched."""

    root: Path  # file: the root of trust from when the device was set up
    trust: Path  # folder: signed metadata, and the time they were last verified
    bundles: Path  # folder: bundles and unfinished downloads

    @classmethod
    def under(cls, folder: Path) -> "Places":
        """Return the usual places under the state folder of an agent."""
        return cls(root=folder / "trust" / "root.json", trust=folder / "trust", bundles=folder / "bundles")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A bundle that was verified: what is signed about it, its parts, its file, and how it came."""

    listed: Listed
    bundle: Bundle
    path: Path
    report: PullReport


class UpdateFileTransport:
    """Chunks from an update file."""

    def __init__(self, container: Container) -> None:
        """Read from an opened update file."""
        self._container = container
        self._asked: deque[int] = deque()

    def request(self, digest: str, indexes: Sequence[int]) -> None:
        """See ``pull.ChunkTransport``; the file holds one bundle, whatever its digest."""
        del digest
        self._asked.extend(indexes)

    def receive(self, timeout_s: float) -> tuple[int, bytes] | None:
        """See ``pull.ChunkTransport``.

        Raises:
            LinkError: If the file cannot be read any more.
        """
        del timeout_s
        if not self._asked:
            return None
        index = self._asked.popleft()
        try:
            return index, self._container.read_slice(BUNDLE, index * CHUNK_BYTES, CHUNK_BYTES)
        except OSError as exc:
            raise LinkError(f"the update file cannot be read: {exc}", field="chunk", value=index) from exc


def receive(  # noqa: PLR0913 (all but three by keyword)
    source: MetadataSource,
    transport: ChunkTransport,
    digest: str,
    *,
    places: Places,
    facts: Facts | None,
    rtc: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: Callable[[], float] = time.monotonic,
    limits: PullLimits | None = None,
    verify: Verify = step.verify,
) -> Received:
    """Bring a released bundle to this device.

    Args:
        source: Of signed metadata, not trusted.
        transport: Of chunks, not trusted.
        digest: Of the bundle, 64 hex digits.
        places: Where things are kept.
        facts: What this device has; None looks at no constraint.
        rtc: The hardware clock.
        clock: Monotonic seconds.
        limits: Of windows and patience.
        verify: Of signed metadata; finds what is signed about the bundle.

    Returns:
        The verified bundle.

    Raises:
        TrustError: Or ``ExpiredError``, ``UnlistedError``: nothing may be taken; what runs goes on.
        ConstraintError: If the bundle is not made for this device.
        PackageError: If the bundle is not one that can be used.
        LinkError: If source or transport fail; call again later, what is stored stays.
        StateError: If the disk refuses.
        UsageError: If there is no root of trust, or python-tuf is not installed.
    """
    listed = verify(source, places.trust, places.root, digest, rtc())
    unmet = listed.release.constraints.unmet(facts) if facts is not None else []
    if unmet:
        raise ConstraintError("the bundle is not made for this device", field="constraints", value="; ".join(unmet))
    with ChunkStore(places.bundles, listed) as store:
        report = pull(store, transport, clock=clock, limits=limits)
        path = store.finish()
    try:
        bundle = read_bundle(path.read_bytes(), digest=listed.digest)
    except OSError as exc:
        raise StateError(f"the bundle cannot be read: {exc}", field="file", value=str(path)) from exc
    release = listed.release
    if (bundle.package.digest, bundle.constraints) != (release.package, release.constraints):
        raise TrustError("the bundle is not what is signed about it", field="package", value=bundle.package.digest)
    return Received(listed=listed, bundle=bundle, path=path, report=report)


def trust_root(places: Places, root: Path) -> None:
    """Make a file the root of trust of this device, once.

    Raises:
        UsageError: If it cannot be read, or the device trusts another one already.
        StateError: If the disk refuses.
    """
    remedy = "a new root must be signed by the old one: hand it in with an update"
    try:
        data = root.read_bytes()
        if places.root.exists() and places.root.read_bytes() != data:
            raise UsageError("another root is trusted already", field="root", value=str(places.root), remedy=remedy)
    except OSError as exc:
        raise UsageError(f"the root cannot be read: {exc}", field="root", value=str(root)) from exc
    try:
        write_file(places.root, data)
    except OSError as exc:
        raise StateError(f"the root cannot be kept: {exc}", field="root", value=str(places.root)) from exc


def facts_of_machine() -> Facts:
    """Return memory that this process may still take, and the version of this agent; columns are for it to say."""
    import psutil

    free = read_limits().spare_bytes(int(psutil.virtual_memory().available))
    return Facts(features=None, memory_mib=free >> 20, agent=acclimate_shared.__version__)


def receive_file(
    file: Path,
    *,
    places: Places,
    facts: Facts | None,
    rtc: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Received:
    """Take a bundle from an update file; it verifies as over a link.

    Raises:
        PackageError: If it is not an update file; and all that ``receive`` raises.
    """
    try:
        with file.open("rb") as opened:
            container, digest = open_update(opened)
            source, transport = UpdateFileSource(container), UpdateFileTransport(container)
            return receive(source, transport, digest, places=places, facts=facts, rtc=rtc)
    except OSError as exc:
        raise PackageError(f"the update file cannot be read: {exc}", field="file", value=str(file)) from exc
