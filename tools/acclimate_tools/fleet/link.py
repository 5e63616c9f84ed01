"""A device's ``Link`` as a task of asyncio: thousands of real connections in one process.

The agent's own link has a thread for each connection, which is right for one device and too much for a fleet of them.
``receive``, ``publish`` and ``subscribe`` are for any thread; the rest is for the loop.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Sequence
from queue import Empty, SimpleQueue

import aiomqtt

from acclimate_device.sync.wire import Address, Arrived, Connected, Happening, Lost, Will
from acclimate_shared.errors import LinkError

KEEPALIVE_S = 600
LATE_S = 2.0  # at most, for a message that is sent late
PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0  # between attempts: random, up to a bound that doubles

Act = Callable[[aiomqtt.Client], Awaitable[object]]


class AsyncLink:
    """One connection that comes back by itself while ``run`` runs; see ``wire.Link``."""

    def __init__(
        self,
        address: Address,
        credentials: Callable[[], ssl.SSLContext],
        will: Callable[[], Will | None] = lambda: None,
        *,
        answer_s: float = 60.0,
        disorder: float = 0.0,
    ) -> None:
        """Prepare, inside the loop.

        Args:
            address: of the broker.
            credentials: what TLS needs, asked for at every attempt.
            will: likewise.
            answer_s: that the broker has for a word.
            disorder: share of messages that are sent twice or late.
        """
        self._answer_s, self._disorder = answer_s, disorder
        self._address, self._credentials, self._will = address, credentials, will
        self._loop = asyncio.get_running_loop()
        self._news: SimpleQueue[Happening] = SimpleQueue()
        self._acts: asyncio.Queue[Act] = asyncio.Queue()
        self._again = asyncio.Event()
        self.arrived = asyncio.Event()
        self.connected = False

    # -- for any thread -----------------------------------------------------------------------------------------

    def tend(self) -> None:
        """Nothing: ``run`` does."""

    def receive(self, timeout_s: float) -> Happening | None:
        """Return the next thing that happened; None if nothing does in time."""
        try:
            return self._news.get(timeout=timeout_s) if timeout_s > 0 else self._news.get_nowait()
        except Empty:
            return None

    def wake(self) -> None:
        """Let who waits for ``arrived`` look."""
        self._loop.call_soon_threadsafe(self.arrived.set)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retained: bool = False) -> None:
        """See ``wire.Link``.

        Raises:
            LinkError: there is no connection.
        """
        self._do(lambda client: client.publish(topic, payload, qos=qos, retain=retained), self._delays())

    def subscribe(self, topics: Sequence[str], *, qos: int = 1) -> None:
        """See ``wire.Link``.

        Raises:
            LinkError: there is no connection.
        """
        wanted = [(topic, qos) for topic in topics]
        self._do(lambda client: client.subscribe(wanted))

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """See ``wire.Link``.

        Raises:
            LinkError: there is no connection.
        """
        left = list(topics)
        self._do(lambda client: client.unsubscribe(left))

    def _delays(self) -> tuple[float, ...]:
        """Return when a message is sent, and how often."""
        luck = random.random() / self._disorder if self._disorder else 1.0  # noqa: S311
        return (0.0,) if luck >= 1.0 else (0.0, 0.0) if luck < 1 / 2 else (random.uniform(0.0, LATE_S),)  # noqa: S311

    def _do(self, act: Act, delays: Sequence[float] = (0.0,)) -> None:
        if not self.connected:
            raise LinkError("there is no connection", field="broker", value=self._address.host)
        for delay_s in delays:
            self._loop.call_soon_threadsafe(self._later, delay_s, act)

    def _later(self, delay_s: float, act: Act) -> None:
        if delay_s:
            self._loop.call_later(delay_s, self._acts.put_nowait, act)
        else:
            self._acts.put_nowait(act)

    def renew(self) -> None:
        """Connect again."""
        self._loop.call_soon_threadsafe(self._again.set)

    def close(self) -> None:
        """Nothing: who cancels ``run`` ends the connection."""

    # -- for the loop -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, carry, and connect again, until cancelled."""
        pause_s = PAUSE_S
        while True:
            try:
                async with self._client() as client:
                    pause_s = PAUSE_S
                    await self._carry(client)
                reason = "credentials were renewed"
            except* (aiomqtt.MqttError, OSError) as group:
                reason = str(group.exceptions[0])
            finally:
                self.connected = False
            self._tell(Lost(reason))
            await asyncio.sleep(random.uniform(0.0, pause_s))  # noqa: S311 - only spreads the load
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _client(self) -> aiomqtt.Client:
        will, address = self._will(), self._address
        return aiomqtt.Client(
            address.host,
            address.port,
            identifier=address.client,
            tls_context=self._credentials(),
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=True) if will else None,
            clean_session=not address.lasting,
            keepalive=KEEPALIVE_S,
            timeout=self._answer_s,
        )

    async def _carry(self, client: aiomqtt.Client) -> None:
        self._acts, self._again = asyncio.Queue(), asyncio.Event()
        self.connected = True
        self._tell(Connected(kept=False))
        async with asyncio.TaskGroup() as tasks:
            busy = [tasks.create_task(self._hear(client)), tasks.create_task(self._say(client))]
            await self._again.wait()
            for task in busy:
                task.cancel()

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self._tell(Arrived(str(message.topic), bytes(message.payload)))
        raise aiomqtt.MqttError("the connection has ended")

    async def _say(self, client: aiomqtt.Client) -> None:
        while True:
            await (await self._acts.get())(client)

    def _tell(self, happening: Happening) -> None:
        self._news.put(happening)
        self.arrived.set()
