"""The link at a real broker: paho's known hangs are brought about, and the link comes back without a new process."""

import ctypes
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from acclimate_device.sync.limits import LinkLimits
from acclimate_device.sync.link import MqttSession, mqtt_link
from acclimate_device.sync.watch import WatchedLink, verdict
from acclimate_device.sync.wire import Address, Arrived, Connected, Will
from acclimate_shared.errors import LinkError
from tests.device.sync.proxy import Proxy, proxy
from tests.hub.servers import free_port, mosquitto, wait_until

QUICK = LinkLimits(
    keepalive_s=5, connect_s=4.0, answer_s=0.6, beat_s=0.6, turn_s=0.1, leave_s=10.0, pause_s=0.05, longest_pause_s=0.2
)


@contextmanager
def broker(folder: Path, port: int) -> Iterator[None]:
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n")
    with mosquitto(config, port):
        yield


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with broker(tmp_path_factory.mktemp("broker"), port):
        yield port


@contextmanager
def linked(
    port: int, client: str, *, newer: bool = False, will: Will | None = None, limits: LinkLimits = QUICK
) -> Iterator[WatchedLink]:
    address = Address(host="127.0.0.1", port=port, client=client, newer=newer)
    link = mqtt_link(address, credentials=lambda: None, will=lambda: will, limits=limits, rng=random.Random(3))  # noqa: S311 - repeatable
    with closing(link):
        wait_connected(link)
        yield link


def wait_connected(link: WatchedLink) -> None:
    def step() -> bool:
        link.tend()
        return link.connected

    wait_until(step)


def echo(link: WatchedLink, topic: str, payload: bytes) -> None:
    """Send and receive, tending, again until it came: every connection needs its subscription."""

    def step() -> bool:
        link.tend()
        got = link.receive(0.02)
        if isinstance(got, Connected) or (got is None and link.connected):
            try:
                link.subscribe([topic])
                link.publish(topic, payload)
            except LinkError:
                return False
        return got == Arrived(topic, payload)

    wait_until(step)


def session_of(link: WatchedLink) -> MqttSession:
    session = link._session
    assert isinstance(session, MqttSession)
    return session


@pytest.mark.parametrize("newer", [False, True])
def test_it_connects_says_and_hears(port: int, newer: bool) -> None:
    with linked(port, f"plain-{newer}", newer=newer) as link:
        echo(link, "t/plain", b"hello")
        assert link.given_up == []


def test_the_broker_speaks_for_one_that_is_gone(port: int) -> None:
    with linked(port, "watcher") as watcher:
        echo(watcher, "will/it", b"x")
        with linked(port, "mortal", will=Will("will/it", b"gone")) as link:
            session = session_of(link)
            session._client.socket().close()  # type: ignore[union-attr]  # no goodbye
            wait_until(lambda: (got := watcher.receive(0.05)) is not None and got == Arrived("will/it", b"gone"))


def hang_network(link: WatchedLink, middle: Proxy) -> None:
    del link
    middle.swallow = True


NEVER = threading.Event()  # set when the test is over


def block_callback(link: WatchedLink, middle: Proxy) -> None:
    """The thread hangs for ever in something that it was asked to do (paho issues 354, 636)."""
    del middle
    session_of(link)._do(lambda _client: NEVER.wait(60) and None)


def kill_thread(link: WatchedLink, middle: Proxy) -> None:
    """The thread dies of an exception that nobody catches (paho issues 891, 894)."""
    del middle
    number = ctypes.c_ulong(session_of(link).thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(SystemExit))


def close_socket(link: WatchedLink, middle: Proxy) -> None:
    del middle
    session_of(link)._client.socket().close()  # type: ignore[union-attr]


def raise_in_thread(link: WatchedLink, middle: Proxy) -> None:
    del middle

    def fault(_client: object) -> None:
        raise MemoryError

    session_of(link)._do(fault)


FAULTS: list[Callable[[WatchedLink, Proxy], None]] = [
    hang_network,
    block_callback,
    kill_thread,
    close_socket,
    raise_in_thread,
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is what is tested
@pytest.mark.parametrize("fault", FAULTS)
def test_the_link_survives(port: int, fault: Callable[[WatchedLink, Proxy], None]) -> None:
    with proxy(port) as middle, linked(middle.port, f"faulty-{fault.__name__}") as link:
        echo(link, "t/faulty", b"before")
        before = session_of(link)
        fault(link, middle)

        def gone() -> bool:
            link.tend()
            if link.connected:
                link.publish("t/faulty", b"into the void")
            return link._session is not before

        wait_until(gone)
        middle.swallow = False
        echo(link, "t/faulty", b"after")
        NEVER.set()
        before.thread.join(5)
        NEVER.clear()


def test_without_the_watchdog_a_swallowed_connection_stays_connected_for_long(port: int) -> None:
    """The negative control: the client itself notices nothing in the time that the watchdog needs."""
    with proxy(port) as middle, linked(middle.port, "control") as link:
        echo(link, "t/control", b"before")
        session = session_of(link)
        middle.swallow = True
        link.publish("t/control", b"into the void")
        wait_until(lambda: bool(verdict(session.health(), time.monotonic(), QUICK)))
        assert session._client.is_connected()
        assert link.connected
        link.tend()
        assert (link.given_up, link.connected) == (["the broker acknowledges nothing"], False)


def test_many_threads_may_publish_at_once(port: int) -> None:
    """What deadlocks paho (issue 354): publishing from several threads, and from what a callback wakes."""
    with linked(port, "busy") as link:
        echo(link, "t/busy", b"start")

        def many(name: int) -> None:
            for at in range(200):
                link.publish("t/busy", f"{name}-{at}".encode())

        threads = [threading.Thread(target=many, args=[name]) for name in range(4)]
        for thread in threads:
            thread.start()
        got: set[bytes] = set()

        def all_there() -> bool:
            link.tend()
            while one := link.receive(0.05):
                if isinstance(one, Arrived):
                    got.add(one.payload)
            return len(got - {b"start"}) == 800

        wait_until(all_there)
        for thread in threads:
            thread.join()


def test_what_is_said_last_arrives_however_busy_the_thread_is(port: int) -> None:
    with linked(port, "listener") as listener:
        echo(listener, "t/last", b"heard")
        with linked(port, "leaving") as link:
            session_of(link)._do(lambda _client: time.sleep(0.3))
            for at in range(50):
                link.publish("t/last", b"%d" % at)
        got: list[bytes] = []

        def all_there() -> bool:
            listener.tend()
            if isinstance(one := listener.receive(0.05), Arrived):
                got.append(one.payload)
            return b"49" in got

        wait_until(all_there)
        assert [one for one in got if one != b"heard"] == [b"%d" % at for at in range(50)]


@pytest.mark.slow
def test_the_link_comes_back_when_the_broker_does(tmp_path: Path) -> None:
    port = free_port()
    with broker(tmp_path, port):
        address = Address(host="127.0.0.1", port=port, client="steady")
        link = mqtt_link(address, credentials=lambda: None, limits=QUICK)
        wait_connected(link)
    with closing(link):
        wait_until(lambda: not link.connected)
        link.tend()
        with broker(tmp_path, port):
            echo(link, "t/back", b"again")


def test_a_packet_that_is_too_long_ends_the_connection_and_is_not_sent_again(port: int) -> None:
    """The broker keeps it for our session, so the next one is new: or no connection would ever last."""
    limits = replace(QUICK, packet_bytes=1 << 20)
    with linked(port, "flooded", limits=limits) as link, linked(port, "flooding") as other:
        echo(link, "big", b"small")
        first = session_of(link)
        other.publish("big", bytes(4 << 20))
        arrived = []

        def replaced() -> bool:
            link.tend()
            other.tend()
            arrived.append(link.receive(0.02))
            return link.connected and session_of(link) is not first

        wait_until(replaced)
        assert first.overlong
        assert {one.payload for one in arrived if isinstance(one, Arrived)} <= {b"small"}  # asked for again meanwhile
        echo(link, "other", b"heard")
