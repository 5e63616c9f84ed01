"""The process of a simulated fleet: ``python -m acclimate_tools.fleet.run PLAN``, a JSON file.

It enrols its devices one after the other, lets them live, and prints a line of JSON a second about how they are. A line
``quiet`` on its input lets nothing more happen, so that everything that waits gets to the hub; at the end of its input
it ends. Killed and started again with the same plan, its devices go on where they were.
"""

import asyncio
import logging
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from acclimate_device.sync.enrol import Claim
from acclimate_shared.errors import AcclimateError
from acclimate_tools.fleet.device import SimDevice
from acclimate_tools.fleet.parts import Pace

THREADS = 128  # that wait for chunks and metadata
SAY_S = 1.0


class FleetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a fleet is.

    Attributes:
        folder: where devices keep what they must not forget.
        devices: names.
        host: of the broker, by the name in its certificate; ``port`` beside it.
        root: file of the root of trust.
        ca: file by which the broker is known; ``certificate`` and ``key`` those of the claim credential.
        claims: tokens, each good for ``uses`` devices.
        pace: see ``parts.Pace``, and ``slower`` there.
        slower: likewise.
    """

    folder: str
    devices: tuple[str, ...]
    host: str
    port: int
    root: str
    ca: str
    certificate: str
    key: str
    claims: tuple[str, ...]
    uses: int
    pace: dict[str, float] = {}
    slower: float = 1.0


class News(msgspec.Struct, frozen=True, kw_only=True):
    """How the fleet is, once a second.

    Attributes:
        enrolled: devices that have a certificate.
        connected: that have a connection now.
        drained: that have nothing that waits for the hub.
        states: how many devices stand where in their rollout.
        trouble: the last thing that went wrong; "" if nothing did.
    """

    enrolled: int
    connected: int
    drained: int
    states: dict[str, int]
    trouble: str = ""


class Fleet:
    """All devices of a plan."""

    def __init__(self, plan: FleetPlan, pool: ThreadPoolExecutor) -> None:
        """Open what they keep."""
        self._plan = plan
        folder, root, pace = Path(plan.folder), Path(plan.root).read_bytes(), Pace(**plan.pace).slower(plan.slower)
        folder.mkdir(parents=True, exist_ok=True)
        self.devices = [SimDevice(name, folder, root, pace, pool) for name in plan.devices]
        self._stopped = asyncio.Event()
        self._shown = {name: Path(getattr(plan, name)).read_text() for name in ("ca", "certificate", "key")}
        self._quiet = False
        self._enrolled, self._trouble = 0, ""

    async def run(self, said: "asyncio.Queue[str]") -> None:
        """Live until the input ends."""
        async with asyncio.TaskGroup() as tasks:
            joining = tasks.create_task(self._join(tasks))
            saying = tasks.create_task(self._say())
            while (word := await said.get()) != "":
                if word == "quiet":
                    self._quiet = True
                    for device in self.devices:
                        device.hush()
            self._stopped.set()
            joining.cancel()
            saying.cancel()
        self._tell()

    def _tell(self) -> None:
        """Write down everything that the devices ever wanted to tell; the file is there when it is whole."""
        path = Path(self._plan.folder) / "told.jsonl"
        with path.with_suffix(".part").open("wb") as file:
            for device in self.devices:
                for told in device.home.told():
                    row = {"device": device.name, "boot": told.boot, "sequence": told.sequence, "kind": told.kind}
                    file.write(msgspec.json.encode(row) + b"\n")
                device.home.close()
        path.with_suffix(".part").rename(path)

    async def _join(self, tasks: asyncio.TaskGroup) -> None:
        """Enrol one after the other: all show the same credential, and a broker has one place for it."""
        plan = self._plan
        for at, device in enumerate(self.devices):
            claim = Claim(token=plan.claims[at // plan.uses], **self._shown)
            while not device.enrolled:
                try:
                    await device.join(claim, plan.host, plan.port)
                except AcclimateError as exc:
                    self._trouble = f"{device.name}: {exc}"
                    await asyncio.sleep(SAY_S)
            self._enrolled += 1
            tasks.create_task(device.live(self._stopped))

    async def _say(self) -> None:
        while True:
            connected = sum(device.link is not None and device.link.connected for device in self.devices)
            drained = sum(device.drained for device in self.devices) if self._quiet else 0
            states = dict(Counter(device.state for device in self.devices if device.state))
            news = News(
                enrolled=self._enrolled, connected=connected, drained=drained, states=states, trouble=self._trouble
            )
            print(msgspec.json.encode(news).decode(), flush=True)
            await asyncio.sleep(SAY_S)


async def _main(plan: FleetPlan) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(said.put_nowait, line.strip())
        loop.call_soon_threadsafe(said.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    with ThreadPoolExecutor(THREADS) as pool:
        await Fleet(plan, pool).run(said)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=FleetPlan)))
