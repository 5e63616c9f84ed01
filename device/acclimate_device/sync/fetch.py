"""Bundles and signed metadata over the link: what ``update.receive`` needs, in the words of the topics.

Chunks are asked for on ``b/{digest}/want/{shard}`` and come to this device alone; metadata are retained messages that
are asked for by name. Nothing that comes is believed here. Used by a thread of its own, never by that of the uplink.
"""

import queue
import threading
from collections.abc import Callable, Sequence

from acclimate_device.sync.limits import CHUNKS_WAITING, METADATA_S, NEXT_ROOT_S
from acclimate_device.sync.source import bounded
from acclimate_device.sync.wire import Link
from acclimate_shared.errors import LinkError, MessageError
from acclimate_shared.messages import limits, pieces
from acclimate_shared.messages.topics import Kind, Topic, build, shard_of
from acclimate_shared.messages.up import Want

Packed = Callable[[Kind, Want], bytes]


class Fetching:
    """Hands out what came; the uplink feeds it."""

    def __init__(self, link: Link, tenant: str, device: str, packed: Packed) -> None:
        """Fetch over a link.

        Args:
            link: whose ``publish`` and ``subscribe`` are for any thread.
            tenant: of the device.
            device: who asks.
            packed: makes messages of ours.
        """
        self._link, self._tenant, self._device, self._packed = link, tenant, device, packed
        self._lock = threading.Lock()
        self._chunks: dict[str, queue.Queue[tuple[int, bytes]]] = {}
        self._files: dict[str, queue.Queue[bytes]] = {}

    def arrived(self, topic: Topic, payload: bytes) -> None:
        """Take a chunk or a file that somebody waits for; what nobody waits for is dropped.

        Raises:
            MessageError: it is no chunk.
        """
        with self._lock:
            chunks = self._chunks.get(topic.values.get("digest", "")) if topic.kind is Kind.REPAIR else None
            file = self._files.get(topic.values.get("name", "")) if topic.kind is Kind.TUF else None
        if chunks is not None and not chunks.full():
            chunks.put(pieces.unpacked(payload))
        if file is not None and not file.full():
            file.put(payload)

    # -- metadata -----------------------------------------------------------------------------------------------

    def fetch(self, name: str, max_bytes: int) -> bytes | None:
        """See ``source.MetadataSource``: what a broker does not send soon is taken for not there.

        Raises:
            LinkError: there is no connection.
            TrustError: it is larger than it may be.
        """
        try:
            topic = build(self._tenant, Kind.TUF, name=name)
        except MessageError:
            return None
        waiting: queue.Queue[bytes] = queue.Queue(1)
        with self._lock:
            self._files[name] = waiting
        try:
            self._link.subscribe([topic])
            data = waiting.get(timeout=NEXT_ROOT_S if name.endswith("root.json") else METADATA_S)
        except queue.Empty:
            if not self._link.connected:
                raise LinkError("the connection was lost", field=name, remedy="try again later") from None
            return None
        finally:
            with self._lock:
                del self._files[name]
            self._leave(topic)
        return bounded(data, name, max_bytes) if data else None

    def _leave(self, topic: str) -> None:
        try:
            self._link.unsubscribe([topic])
        except LinkError:
            return  # the connection is gone: what comes of it is dropped

    # -- chunks -------------------------------------------------------------------------------------------------

    def open(self, digest: str) -> "Chunks":
        """Return a transport of the chunks of a bundle; one for a digest at a time.

        Raises:
            LinkError: there is no connection.
        """
        waiting: queue.Queue[tuple[int, bytes]] = queue.Queue(CHUNKS_WAITING)
        topic = build(self._tenant, Kind.REPAIR, device=self._device, digest=digest)
        self._link.subscribe([topic], qos=0)
        with self._lock:
            self._chunks[digest] = waiting
        return Chunks(self, digest, waiting)

    def close(self, digest: str) -> None:
        """Want no more chunks of a bundle."""
        with self._lock:
            self._chunks.pop(digest, None)
        self._leave(build(self._tenant, Kind.REPAIR, device=self._device, digest=digest))

    def want(self, digest: str, indexes: Sequence[int]) -> None:
        """Ask for chunks.

        Raises:
            LinkError: there is no connection.
        """
        topic = build(self._tenant, Kind.WANT, digest=digest, shard=str(shard_of(self._device)))
        for at in range(0, len(indexes), limits.MAX_WANTED):
            body = Want(chunks=tuple(indexes[at : at + limits.MAX_WANTED]))
            self._link.publish(topic, self._packed(Kind.WANT, body), qos=0)

    @property
    def connected(self) -> bool:
        """Whether the link is there."""
        return self._link.connected


class Chunks:
    """See ``pull.ChunkTransport``; to be closed."""

    def __init__(self, fetching: Fetching, digest: str, waiting: "queue.Queue[tuple[int, bytes]]") -> None:
        """Use what ``Fetching.open`` has prepared."""
        self._fetching, self._digest, self._waiting = fetching, digest, waiting

    def request(self, digest: str, indexes: Sequence[int]) -> None:
        """See ``pull.ChunkTransport``.

        Raises:
            LinkError: there is no connection.
            ValueError: it was opened for another bundle.
        """
        if digest != self._digest:
            raise ValueError("a transport is for one bundle")
        self._fetching.want(digest, indexes)

    def receive(self, timeout_s: float) -> tuple[int, bytes] | None:
        """See ``pull.ChunkTransport``.

        Raises:
            LinkError: the connection is gone.
        """
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            if not self._fetching.connected:
                raise LinkError("the connection was lost", remedy="try again later") from None
            return None

    def close(self) -> None:
        """Want no more."""
        self._fetching.close(self._digest)
