"""A device as a process of its own: ``python -m tests.system.hostile_device FILES PORT FOLDER``.

It keeps in touch over its own link, and for each line on its input, a ``Wish``, tries to install a bundle as a device
does: signed metadata are verified in a process of their own, chunks are pulled, the bundle is read. It answers each
with a line, a ``Tried``. FILES is the folder of its certificate. Waiting is scaled down, as no test waits for minutes.
"""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from acclimate_device.sync import fetch, step
from acclimate_device.sync.pull import PullLimits
from acclimate_device.sync.source import MetadataSource
from acclimate_device.sync.update import Places, receive
from acclimate_device.sync.uplink import Uplink
from acclimate_shared.errors import AcclimateError
from acclimate_shared.release import Listed
from tests.system.test_fuzz import memory_mib
from tests.system.test_wire import DEVICE, device

LIMITS = PullLimits(first_timeout_s=0.2, stall_s=1.0, rate_window_s=1.0, rate_min_bytes_s=1_000_000.0)
vars(fetch).update(NEXT_ROOT_S=0.5, METADATA_S=3.0)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to install: into which folder, so many days from now; and the control, whether anything is verified."""

    digest: str
    place: str
    root: bytes
    days: float = 0.0
    believe: Listed | None = None


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: the digest that was installed, or the error; seconds, and the most memory so far, MiB."""

    installed: str = ""
    error: str = ""
    words: str = ""
    seconds: float
    peak_mib: float


class Files:
    """Where the certificate is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, name: str) -> tuple[Path, Path, Path]:
        return self.folder / "ca.crt", self.folder / f"{name}.crt", self.folder / f"{name}.key"


def attempt(uplink: Uplink, folder: Path, wish: Wish) -> Tried:
    places, began = Places.under(folder / wish.place), time.monotonic()
    places.root.parent.mkdir(parents=True, exist_ok=True)
    places.root.write_bytes(wish.root)
    verify: Callable[..., Any] = step.verify
    if wish.believe is not None:  # the control: a step that believes what it is told

        def verify(source: MetadataSource, *_rest: object) -> Listed | None:
            source.fetch("timestamp.json", 1 << 20)
            return wish.believe

    found: dict[str, str] = {}
    try:
        with closing(uplink.chunks(wish.digest)) as chunks:
            now = datetime.now(UTC) + timedelta(days=wish.days)
            got = receive(uplink.metadata(), chunks, wish.digest, places=places, facts=None, rtc=lambda: now,
                          limits=LIMITS, verify=verify)  # fmt: skip
        found["installed"] = got.listed.digest
    except AcclimateError as exc:
        found |= {"error": type(exc).__name__, "words": str(exc)}
    return Tried(**found, seconds=time.monotonic() - began, peak_mib=memory_mib("VmHWM"))


def main(files: Path, port: int, folder: Path) -> None:
    with device(Files(files), folder / DEVICE, port) as uplink:
        for line in sys.stdin.buffer:
            tried = attempt(uplink, folder, msgspec.json.decode(line, type=Wish))
            sys.stdout.buffer.write(msgspec.json.encode(tried) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
