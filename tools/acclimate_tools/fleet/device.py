"""One simulated device: the agent's own enrolment, outbox, twin and follower, over a link of asyncio."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from acclimate_device.sync import identity
from acclimate_device.sync.enrol import Claim, begin, enrol
from acclimate_device.sync.follow import Follower
from acclimate_device.sync.identity import Identity
from acclimate_device.sync.limits import OutboxLimits, UplinkLimits
from acclimate_device.sync.outbox import Outbox
from acclimate_device.sync.renewal import Renewal
from acclimate_device.sync.twin import Twin
from acclimate_device.sync.update import Places, receive
from acclimate_device.sync.uplink import Uplink
from acclimate_device.sync.wire import Address, Link, Will
from acclimate_shared.errors import AcclimateError
from acclimate_shared.rollout_reports import DeviceState
from acclimate_tools.fleet.home import SmallHome
from acclimate_tools.fleet.link import AsyncLink
from acclimate_tools.fleet.parts import CalmMeter, Growing, Pace, SmallSeats, verified_here

logger = logging.getLogger(__name__)
_Found = TypeVar("_Found")


class SimDevice:
    """A device from its first start to its last."""

    def __init__(self, name: str, folder: Path, root: bytes, pace: Pace, pool: Executor) -> None:
        """Open what it keeps.

        Args:
            name: of the device.
            folder: of all devices.
            root: of trust, signed metadata.
            pace: of its life.
            pool: for what waits.
        """
        self.name, self._pace, self._pool = name, pace, pool
        self.home = SmallHome(folder / f"{name}.db")
        self.places = Places.under(folder / name)
        if not self.places.root.exists():
            self.places.root.parent.mkdir(parents=True, exist_ok=True)
            self.places.root.write_bytes(root)
        self.link: AsyncLink | None = None
        self.uplink: Uplink | None = None
        self.follower: Follower | None = None
        self._growing = Growing(self.home, name, pace, time.time)
        self._meter = CalmMeter(pace, time.time)

    @property
    def enrolled(self) -> bool:
        """Whether it has a certificate."""
        who = identity.load(self.home.fleet_rows)
        return who is not None and who.enrolled

    @property
    def state(self) -> str:
        """Where it stands in a rollout, by its own account."""
        return self.follower.place.state.value if self.follower else ""

    async def join(self, claim: Claim, host: str, port: int) -> None:
        """Enrol.

        Raises:
            AccessError: the hub refuses.
            LinkError: there is no answer in time.
        """
        rows = self.home.fleet_rows
        fresh = begin(rows, claim, host, port, self.name, time.time())
        shown = identity.context(claim.ca, claim.certificate, claim.key)
        link = AsyncLink(Address(host=host, port=port, client="claim", lasting=False), lambda: shown)
        asked: Link = link
        async with _running(link.run()):
            await self._aside(lambda: enrol(rows, fresh, claim, asked))

    async def live(self, stopped: asyncio.Event) -> None:
        """Keep in touch until told to stop; ``drained`` says when nothing waits any more."""
        who = identity.load(self.home.fleet_rows)
        if who is None:
            raise RuntimeError("a device lives after it has joined")
        link, uplink, follower = self._assembled(who)
        async with _running(link.run()), _running(self._follows(follower, uplink)):
            while not stopped.is_set():
                link.arrived.clear()
                if not self._meter.quiet:
                    self._growing.tend()
                await self._guarded(lambda: uplink.turn(0.0))
                with suppress(TimeoutError):
                    await asyncio.wait_for(link.arrived.wait(), _about(self._pace.turn_s))
            uplink.link.close()

    async def _follows(self, follower: Follower, uplink: Uplink) -> None:
        """Look at the rollout again and again; beside the turns of the link, for it may fetch a base."""
        while True:
            await self._follow(follower, uplink)
            await asyncio.sleep(_about(self._pace.follow_s))

    def _assembled(self, who: Identity) -> tuple[AsyncLink, Uplink, Follower]:
        """As ``start.uplink_of`` and ``start.follower_of`` do for an agent."""
        rows, rng = self.home.fleet_rows, random.Random(self.name)  # noqa: S311 - luck, not secrets
        renewal = Renewal(rows, who, time.time)

        def credentials() -> identity.Context:
            now = renewal.identity
            return identity.context(now.ca, now.certificate, now.key)

        def will() -> Will:
            return uplink.will()

        address, pace = Address(host=who.host, port=who.port, client=who.device), self._pace
        link = AsyncLink(address, credentials, will, answer_s=pace.answer_s, disorder=pace.disorder)
        limits = OutboxLimits(again_s=pace.again_s, longest_again_s=3 * pace.again_s)
        uplink = Uplink(
            link=link,
            outbox=Outbox(rows, who.device, time.time, limits),
            twin=Twin(rows, who.device, who.cohort),
            renewal=renewal,
            source=self.home,
            meter=self._meter,
            limits=UplinkLimits(bucket_s=self._pace.bucket_s),
            rng=rng,
        )
        seats = SmallSeats(self.home, lambda digest: self._fetch(uplink, digest), self._pace, rng)
        follower = Follower(who.device, rows, seats, uplink.send, again_s=self._pace.fetch_again_s)
        uplink.on_desired(follower.desired)
        uplink.on_command(follower.command)
        self.link, self.uplink, self.follower = link, uplink, follower
        return link, uplink, follower

    def _fetch(self, uplink: Uplink, digest: str) -> None:
        """Bring a base here and verify it as a device does; then it is not needed any more, for nothing runs it."""
        chunks = uplink.chunks(digest)
        try:
            source, places = uplink.metadata(), self.places
            now = datetime.now(UTC)
            found = receive(source, chunks, digest, places=places, facts=None, rtc=lambda: now, verify=verified_here)
        finally:
            chunks.close()
        found.path.unlink()

    async def _follow(self, follower: Follower, uplink: Uplink) -> None:
        """One look at the rollout; in a thread where it may fetch a base."""
        if follower.place.state is DeviceState.TOLD:
            await self._guarded(lambda: self._aside(follower.step))
        else:
            await self._guarded(follower.step)
        running, differs = follower.answering()
        uplink.twin.runs(running)
        if differs:
            uplink.twin.differs(differs)

    async def _guarded(self, act: Callable[[], Awaitable[None] | None]) -> None:
        try:
            waiting = act()
            if waiting is not None:
                await waiting
        except AcclimateError as exc:
            logger.info("%s: %s", self.name, exc)

    async def _aside(self, act: Callable[[], _Found]) -> _Found:
        return await asyncio.get_running_loop().run_in_executor(self._pool, act)

    def hush(self) -> None:
        """Let nothing more happen on the device; what waits for the hub still goes out."""
        self._meter.quiet = True

    @property
    def drained(self) -> bool:
        """Whether the hub has acknowledged everything."""
        box = self.uplink.outbox if self.uplink else None
        return box is not None and not box.size()[0] and box.taken() >= self.home.lines()


def _about(seconds: float) -> float:
    """Return a little less, so that a fleet does not act all at once."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a coroutine beside a block, and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
