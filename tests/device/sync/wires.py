"""A link in memory, and what a hub would do at its other end; all on a clock that only the test moves."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acclimate_device.fleet_rows import FleetRows
from acclimate_device.store import Store
from acclimate_device.sync.wire import Arrived, Connected, Happening, Lost
from acclimate_shared.errors import LinkError
from acclimate_shared.messages.down import Ack, Range
from acclimate_shared.messages.envelope import Envelope, decode, encode
from acclimate_shared.messages.topics import Kind, build, parse

DEVICE, HUB_BOOT = "gw-1", "f" * 16


@dataclass
class Clock:
    """Seconds since 1970, and monotonic ones too."""

    now_s: float = 1.7e9

    def __call__(self) -> float:
        return self.now_s


def message(kind: Kind, body: Any, *, boot: str = HUB_BOOT, sender: str = DEVICE, sequence: int = 1) -> bytes:
    """Return a message as the hub, or somebody, makes it."""
    return encode(Envelope(id="1" * 32, time_s=1.0, sender=sender, boot=boot, sequence=sequence, body=body), kind)


@dataclass
class MemoryLink:
    """A link whose other end is a list; ``up`` says whether there is a broker."""

    up: bool = True
    connected: bool = False
    sent: list[tuple[str, bytes, int, bool]] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    inbox: deque[Happening] = field(default_factory=deque)
    on_publish: Callable[[str, bytes], None] = lambda _topic, _payload: None
    closed: int = 0
    renewed: int = 0
    woken: int = 0

    def tend(self) -> None:
        if self.up and not self.connected:
            self.connected = True
            self.inbox.append(Connected(kept=False))
        if self.connected and not self.up:
            self.connected = False
            self.inbox.append(Lost("the broker is away"))

    def receive(self, timeout_s: float) -> Happening | None:
        del timeout_s
        return self.inbox.popleft() if self.inbox else None

    def wake(self) -> None:
        self.woken += 1

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retained: bool = False) -> None:
        if not self.connected:
            raise LinkError("away")
        self.sent.append((topic, payload, qos, retained))
        self.on_publish(topic, payload)

    def subscribe(self, topics: Sequence[str], *, qos: int = 1) -> None:
        del qos
        if not self.connected:
            raise LinkError("away")
        self.topics += topics

    def unsubscribe(self, topics: Sequence[str]) -> None:
        self.topics = [one for one in self.topics if one not in topics]

    def renew(self) -> None:
        self.renewed += 1

    def close(self) -> None:
        self.closed += 1

    def bodies(self, kind: Kind) -> list[Any]:
        """Return what was sent on topics of a kind."""
        return [decode(payload, kind).body for topic, payload, _, _ in self.sent if parse(topic).kind is kind]


@dataclass
class MemoryHub:
    """Commits what comes over a link and acknowledges it, unless it is deaf; ``took`` counts each message."""

    link: MemoryLink
    deaf: bool = False
    took: dict[tuple[str, int], list[bytes]] = field(default_factory=dict)
    answers: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link.on_publish = self.hears

    def hears(self, topic: str, payload: bytes) -> None:
        if parse(topic).kind is not Kind.UP or self.deaf:
            return
        one = decode(payload, Kind.UP)
        self.took.setdefault((one.boot, one.sequence), []).append(payload)
        ack = Ack(acked=one.boot, ranges=(Range(one.sequence, one.sequence),))
        self.answers.append((build("main", Kind.ACK, device=DEVICE), message(Kind.ACK, ack)))
        self.link.inbox.append(Arrived(*self.answers[-1]))

    @property
    def bodies(self) -> list[Any]:
        return [decode(payloads[0], Kind.UP).body for payloads in self.took.values()]


def rows_in(store: Store) -> FleetRows:
    return FleetRows(store)


@contextmanager
def swift_store(folder: Path) -> Iterator[Store]:
    """A store that does not wait for the disk: these tests stop no machine."""
    with closing(Store(folder)) as store:
        store._connection.execute("PRAGMA synchronous=OFF")
        yield store
