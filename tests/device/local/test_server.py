"""The server's promises: who may reach it, who waits for whom, what it does with abuse, how it ends."""

import json
import os
import random
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acclimate_device.local.limits import Limits
from acclimate_device.local.server import LocalServer
from acclimate_device.local.service import Service
from acclimate_device.local.socket_file import check_folder, handed_over
from acclimate_shared.errors import UsageError
from tests.device.local.rig import CountingAgent, connect, everything, listens, served, stop, tell, until

ASK = b'{"op":"predict","features":{"x":1}}'
QUICK = Limits(patience_s=0.3, drain_s=5.0)


def test_requests_of_a_connection_are_answered_in_order(tmp_path: Path) -> None:
    lines = [json.dumps({"op": "predict", "id": i, "features": {"x": i}}).encode() for i in range(200)]
    with served(tmp_path, CountingAgent()) as path:
        found = tell(path, *lines)
    assert [one["id"] for one in found] == list(range(200))
    assert [one["event"] for one in found] == [f"e{i}" for i in range(200)]


def test_a_label_is_acknowledged_only_after_the_agent_took_it(tmp_path: Path) -> None:
    agent = CountingAgent()
    with served(tmp_path, agent) as path, connect(path) as client:
        client.sendall(ASK + b"\n")
        event = json.loads(client.recv(4096))["event"]
        agent.gate.clear()
        client.sendall(json.dumps({"op": "feedback", "event": event, "label": "odd"}).encode() + b"\n")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(4096)
        agent.gate.set()
        client.settimeout(20)
        assert json.loads(client.recv(4096)) == {"id": None, "ok": True, "event": event}
        assert agent.labels == {event: "odd"}


def test_a_client_that_waits_for_the_disk_holds_up_nobody_else(tmp_path: Path) -> None:
    agent = CountingAgent()
    with served(tmp_path, agent) as path, connect(path) as slow:
        agent.gate.clear()
        slow.sendall(b'{"op":"feedback","event":"e0","label":"odd"}\n')
        assert tell(path, ASK)[0]["ok"]
        agent.gate.set()


def test_a_client_that_never_reads_is_cut_off_and_holds_up_nobody_else(tmp_path: Path) -> None:
    with served(tmp_path, CountingAgent(), QUICK) as path, connect(path) as deaf:
        deaf.settimeout(0)
        sent = 0
        try:
            while True:
                sent += deaf.send((ASK + b"\n") * 1000)
        except BlockingIOError:
            pass
        for _ in range(20):
            assert tell(path, ASK)[0]["ok"]
        until(lambda: tell(path, b'{"op":"status"}')[0]["status"]["local"]["cut_off"] == 1)
        assert sent < 8 * 2**20  # the rest waited with the client


def test_half_a_line_is_given_time_but_not_for_ever(tmp_path: Path) -> None:
    with served(tmp_path, CountingAgent(), QUICK) as path, connect(path) as client, connect(path) as idle:
        client.sendall(ASK[:10])
        client.sendall(ASK[10:] + b"\n" + ASK[:5])
        assert len(everything(client)) == 1  # and then it is closed
        idle.sendall(ASK + b"\n")  # whoever says nothing may stay
        assert json.loads(idle.recv(4096))["ok"]


def test_a_line_that_is_too_long_is_refused(tmp_path: Path) -> None:
    limits = Limits(line_bytes=10_000)
    fits = b'{"op":"predict","features":{"x":1},"event":"' + b"e" * 9_000 + b'"}'
    with served(tmp_path, CountingAgent(), limits) as path:
        assert tell(path, fits)[0]["ok"]
        for ending in (b"", b"\n"):
            with connect(path) as client:
                client.sendall(b"[" * 20_000 + ending)
                found = everything(client)
            assert [one["error"]["field"] for one in found] == ["line"]
        assert tell(path, ASK)[0]["ok"]


def test_a_hundred_connections(tmp_path: Path) -> None:
    agent, limits = CountingAgent(), Limits(connections=60)
    with served(tmp_path, agent, limits) as path:
        clients = [connect(path) for _ in range(100)]
        until(lambda: sum(_turned_away(client) for client in clients) == 40)
        kept = [client for client in clients if not _turned_away(client)]
        for client in kept:
            client.sendall(ASK + b"\n")
        assert all(json.loads(client.recv(4096))["ok"] for client in kept)
        for client in clients:
            client.close()
        until(lambda: "status" in tell(path, b'{"op":"status"}')[0])  # there is room again


def _turned_away(client: socket.socket) -> bool:
    """Return whether a connection was closed; what was said is left to be read."""
    client.settimeout(0)
    try:
        said = client.recv(4096, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    finally:
        client.settimeout(20)
    error = json.loads(said)["error"]
    return bool(error["kind"] == "rate" and error["retry"])


def test_garbage_is_refused_line_by_line(tmp_path: Path) -> None:
    rng = random.Random(5)  # noqa: S311 - repeatable
    lines = [rng.randbytes(rng.randrange(1, 300)).replace(b"\n", b" ") for _ in range(300)]
    lines += [b"[" * 5000, b"\xff\xfe", b"null", b"3", b'"op"', b'{"op":null}', b'{"op":["predict"]}', b"\0" * 50]
    lines = [line for line in lines if line.strip()]
    with served(tmp_path, CountingAgent()) as path:
        found = tell(path, *lines, ASK)
    assert len(found) == len(lines) + 1
    assert all(not one["ok"] and one["error"]["message"] and one["error"]["remedy"] for one in found[:-1])
    assert found[-1]["ok"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["op", "id", "features", "event", "label", "weight", "source", "time_s", "rows", "labels", "x"])
ops = st.sampled_from(["predict", "feedback", "predict_many", "feedback_many", "status"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=st.dictionaries(names, json_values, max_size=6), op=ops | json_values)
def test_whatever_is_asked_one_answer_comes(request: dict[str, object], op: object) -> None:
    agent = CountingAgent()
    service = Service(agent)
    found = json.loads(service.answer(json.dumps({**request, "op": op}).encode()), parse_constant=pytest.fail)
    assert service.failure is None
    assert found["ok"] or "error" in found or "answers" in found or "errors" in found
    service.close()


def test_closing_answers_what_is_at_hand_and_removes_the_socket(tmp_path: Path) -> None:
    agent = CountingAgent()
    server = LocalServer(tmp_path / "a.sock", Service(agent))
    server.start()
    with connect(server.path) as client:
        client.sendall(ASK + b"\n")
        assert client.recv(4096)
        agent.gate.clear()
        client.sendall(b'{"op":"feedback","event":"e0","label":"odd"}\n')
        timer = threading.Timer(0.2, agent.gate.set)
        timer.start()
        server.close()
        assert everything(client) == [{"id": None, "ok": True, "event": "e0"}]
        assert not server.path.exists()
        assert not [t for t in threading.enumerate() if t.name.startswith(("acclimate-client", "acclimate-accept"))]
        timer.join()


def test_a_failure_of_the_agent_is_told_without_data(caplog: pytest.LogCaptureFixture) -> None:
    agent = CountingAgent()
    agent.broken = ZeroDivisionError("secret 4711")
    service = Service(agent)
    told = json.loads(service.answer(ASK))
    assert told["error"]["kind"] == "internal"
    assert isinstance(service.failure, ZeroDivisionError)
    assert "4711" not in json.dumps(told) + caplog.text
    service.close()


# -- the place of the socket --------------------------------------------------------------------------------------


def test_the_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    with served(tmp_path, CountingAgent()) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    server = LocalServer(tmp_path / "b.sock", Service(CountingAgent()))
    server.start(mode=0o600)
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    server.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_others_may_not_ask(tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    for folder in (place, *list(place.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    with served(place, CountingAgent()) as path:
        child = os.fork()
        if child == 0:  # a process of its own, for there is no way back to root
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            os._exit(0 if probe.connect_ex(str(path)) == 13 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_folder_that_anyone_may_write_to_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    for mode in (0o777, 0o1777):
        place.chmod(mode)
        with pytest.raises(UsageError, match="chmod o-w"):
            check_folder(place / "a.sock")
    inner = place / "inner"
    inner.mkdir(mode=0o755)
    check_folder(inner / "a.sock")  # the sticky bit above it protects its name
    place.chmod(0o777)
    with pytest.raises(UsageError, match="anyone"):
        check_folder(inner / "a.sock")
    place.chmod(0o755)
    check_folder(place / "a.sock")
    with pytest.raises(UsageError, match="no such folder"):
        check_folder(tmp_path / "none" / "a.sock")


def test_what_lies_at_the_path(tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "a.sock"))
    stale.close()  # as after a kill: the file is there, nobody listens
    with served(tmp_path, CountingAgent()) as path:
        assert tell(path, ASK)[0]["ok"]
        with pytest.raises(UsageError, match="another server"), served(tmp_path, CountingAgent()):
            pass
        assert tell(path, ASK)[0]["ok"]
    (tmp_path / "a.sock").write_text("precious")
    with pytest.raises(UsageError, match="something else"), served(tmp_path, CountingAgent()):
        pass
    assert (tmp_path / "a.sock").read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["a.sock"]


def test_wrong_places_and_groups(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"), served(_deep(tmp_path), CountingAgent()):
        pass
    server = LocalServer(tmp_path / "a.sock", Service(CountingAgent()))
    with pytest.raises(UsageError, match="no such group"):
        server.start(group="nobody-has-this-name")
    assert not list(tmp_path.glob("*.sock"))


def _deep(folder: Path) -> Path:
    deep = folder / ("d" * 100)
    deep.mkdir()
    return deep


def test_closing_leaves_the_socket_of_a_successor(tmp_path: Path) -> None:
    with served(tmp_path, CountingAgent()) as path:
        path.unlink()
        successor = socket.socket(socket.AF_UNIX)
        successor.bind(str(path))
    assert path.exists()
    successor.close()


_ACTIVATE = """\
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(sys.argv[1])
listener.listen(8)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "acclimate_device.cli", *sys.argv[2:]])
"""


@pytest.mark.slow
def test_a_socket_that_a_service_manager_made_is_served_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "handed.sock"
    options = ["serve", "--socket", str(path), "--task", "regression", "--learners", "rls"]
    environment = {**os.environ, "PYTHONPATH": ":".join(part for part in sys.path if part)}
    words = [sys.executable, "-c", _ACTIVATE, str(path), *options]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, env=environment)
    try:
        until(lambda: listens(path))
        inode = path.stat().st_ino
        assert tell(path, ASK)[0]["ok"]  # asked, maybe, before it was there to answer
    finally:
        assert stop(process) == 0
    assert path.stat().st_ino == inode


def test_a_socket_that_is_meant_for_others_is_not_taken(tmp_path: Path) -> None:
    mine = str(os.getpid())
    assert handed_over(tmp_path, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None
    assert handed_over(tmp_path, {}) is None
    with pytest.raises(UsageError, match="one socket"):
        handed_over(tmp_path, {"LISTEN_PID": mine, "LISTEN_FDS": "2"})
