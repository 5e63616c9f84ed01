"""Requests over topics: the same answers as on the socket; what floods is refused, counted and said."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from acclimate_device.local.bridge import Bridge
from acclimate_device.local.broker import Broker, link_to
from acclimate_device.local.limits import BrokerLimits, Limits
from acclimate_device.local.service import Service
from tests.device.local.brokers import RIGHTS, CountedMemoryLink, Place, joined, rights_of_the_document
from tests.device.local.rig import CountingAgent, until
from tests.hub.servers import free_port

NAME = "pump"


class Rig:
    """A bridge over a link in memory, moved by hand but for the threads that answer."""

    def __init__(self, agent: CountingAgent | None = None, **limits: Any) -> None:
        self.agent, self.link, self.now = agent or CountingAgent(), CountedMemoryLink(), [0.0]
        self.service = Service(self.agent)
        self.bridge = Bridge(
            self.service,
            self.link,
            limits=Limits(line_bytes=2000),
            broker=BrokerLimits(**limits),
            clock=lambda: self.now[0],
        )
        for worker in self.bridge._workers:
            worker.start()
        self.turn()

    def turn(self) -> None:
        self.bridge.turn(0)
        while self.link.inbox:
            self.bridge.turn(0)

    def ask(self, op: str, payload: bytes, client: str = NAME, *, retained: bool = False) -> None:
        self.link.arrive(f"acclimate/{op}/{client}", payload, retained=retained)
        self.turn()

    def heard(self, count: int, client: str = NAME) -> list[dict[str, Any]]:
        """Wait for so many answers to a client."""

        def found() -> list[dict[str, Any]]:
            place = f"acclimate/answer/{client}"
            return [json.loads(payload) for topic, payload, _, _ in list(self.link.sent) if topic == place]

        until(lambda: len(found()) >= count)
        return found()


@contextmanager
def rig(agent: CountingAgent | None = None, **limits: Any) -> Iterator[Rig]:
    made = Rig(agent, **limits)
    try:
        yield made
    finally:
        made.agent.gate.set()
        made.bridge.close()
        made.service.close()


def test_every_operation_is_asked_by_its_topic() -> None:
    with rig() as made:
        assert ("acclimate/online", b"true", 1, True) in made.link.sent
        made.ask("predict", b'{"id":1,"event":"mine","features":{"x":1}}')
        made.ask("feedback", b'{"id":2,"event":"mine","label":"odd"}')
        made.ask("predict_many", b'{"id":3,"rows":[{"x":1},{"bad":1}]}')
        made.ask("feedback_many", b'{"id":4,"labels":[{"event":"e1","label":"odd"}]}')
        made.ask("status", b'{"id":5,"op":"status"}')
        found = made.heard(5)
        assert [one["id"] for one in found] == [1, 2, 3, 4, 5]
        assert [one["ok"] for one in found] == [True, True, False, True, True]
        assert found[0]["event"] == found[1]["event"] == "mine"
        broker = found[4]["status"]["local"]["broker"]
        assert (broker["connected"], broker["requests"], broker["dropped"]) == (True, 5, 0)
        assert made.agent.labels == {"mine": "odd", "e1": "odd"}
    assert made.link.sent[-1] == ("acclimate/online", b"false", 1, True)
    assert made.link.closed == 1


@pytest.mark.parametrize(
    ("op", "payload", "field"),
    [
        ("predict", b"\xff\xfe", "line"),
        ("predict", b"", "line"),
        ("predict", b"[" * 1500, "line"),
        ("predict", b'{"op":"feedback","event":"e","label":"x"}', "op"),
        ("predict", b'{"op":["predict"],"features":{}}', "op"),
        ("feedback", b'{"event":"e","label":"x","odd":1}', "odd"),
        ("status", b"3", "line"),
        ("predict", b'{"features":{"x":"' + b"y" * 2000 + b'"}}', "line"),
    ],
)
def test_nonsense_is_refused_with_a_remedy(op: str, payload: bytes, field: str) -> None:
    with rig() as made:
        made.ask(op, payload)
        made.ask("predict", b'{"id":9,"features":{"x":1}}')
        refused, answered = made.heard(2)
        if refused["ok"]:  # what is too long is refused at once, by another thread
            refused, answered = answered, refused
        assert (refused["error"]["kind"], refused["error"]["field"]) == ("message", field)
        assert refused["error"]["remedy"]
        assert answered["ok"]


def test_random_bytes_never_silence_it() -> None:
    rng = random.Random(11)  # noqa: S311 - repeatable
    with rig() as made:
        ops = ["predict", "feedback", "predict_many", "feedback_many", "status"]
        for _ in range(200):
            made.ask(rng.choice(ops), rng.randbytes(rng.randrange(200)))
        found = made.heard(200)
        assert not any(one["ok"] for one in found)
        assert made.service.failure is None


def test_what_is_no_request_or_is_old_is_counted_and_not_answered() -> None:
    with rig() as made:
        made.ask("predict", b'{"features":{}}', retained=True)
        made.ask("predict", b'{"features":{}}', client="x/y")
        made.ask("forget", b"{}")
        facts = made.bridge.facts()
        assert (facts["retained"], facts["not_requests"], facts["requests"]) == (1, 2, 0)
        assert made.agent.events == []


def test_a_flood_is_refused_and_others_are_answered(caplog: pytest.LogCaptureFixture) -> None:
    with rig(workers=2, waiting=10) as made:
        made.agent.gate.clear()  # the flooding client's labels wait for the disk
        for at in range(50):
            made.ask("feedback", json.dumps({"id": at, "event": f"e{at}", "label": "x"}).encode())
        found = made.heard(39)
        assert all(one["error"]["kind"] == "rate" and one["error"]["retry"] for one in found)
        assert [one["id"] for one in found][-1] == 49
        made.ask("predict", b'{"features":{"x":1}}', client="gauge")  # another thread has this one
        assert made.heard(1, "gauge")[0]["ok"]
        assert made.bridge.facts()["refused_full"] == len(found)
        for made.now[0] in (2.0, 4.0):
            made.turn()
        assert [record.message for record in caplog.records].count("more is asked than can be answered") == 1
        made.agent.gate.set()
        assert len(made.heard(50)) == 50  # one answer each


def test_what_waits_is_bounded_in_bytes_too() -> None:
    with rig(workers=1, waiting_bytes=3000) as made:
        made.agent.gate.clear()
        big = json.dumps({"event": "e", "label": "x" * 1400}).encode()
        made.ask("feedback", big)
        until(lambda: made.bridge._waiting_bytes == 0)  # it is at hand
        for _ in range(4):
            made.ask("feedback", big)
        assert made.bridge.facts()["refused_full"] == 2
        made.agent.gate.set()
        made.heard(5)
        until(lambda: made.bridge._waiting_bytes == 0)


def test_answers_that_the_broker_does_not_take_are_counted() -> None:
    with rig(pending=3) as made:
        made.link.pending = 3
        made.ask("predict", b'{"features":{"x":1}}')
        until(lambda: made.bridge.facts()["unsent"] == 1)
        made.link.pending, made.link.connected = 0, False
        made.link.arrive("acclimate/predict/pump", b'{"features":{"x":1}}')
        made.link.up = False
        made.turn()
        until(lambda: made.bridge.facts()["unsent"] == 2)
        assert made.bridge.facts()["connected"] is False


# -- at a real broker ---------------------------------------------------------------------------------------------


@contextmanager
def bridged(place: Place, agent: CountingAgent, login: Path | None = None, **limits: Any) -> Iterator[Bridge]:
    service = Service(agent)
    link = link_to(Broker(host="127.0.0.1", port=place.port, login=login))
    made = Bridge(service, link, broker=BrokerLimits(**limits))
    made.start()
    try:
        yield made
    finally:
        agent.gate.set()
        made.close()
        service.close()


def test_it_goes_on_when_the_broker_comes_back(tmp_path: Path) -> None:
    place, agent = Place(tmp_path, free_port()), CountingAgent()
    with bridged(place, agent) as made:  # before there is a broker
        for turn in range(2):
            with place.running(), joined(place.port, NAME, listens="acclimate/#") as client:
                client.wait_for(b"true")
                client.publish("acclimate/predict/pump", b'{"id":%d,"features":{"x":1}}' % turn)
                until(lambda: any(topic == "acclimate/answer/pump" for topic, _ in client.got))
                answer = json.loads(next(payload for topic, payload in client.got if topic == "acclimate/answer/pump"))
                assert (answer["id"], answer["ok"]) == (turn, True)
            until(lambda: not made.facts()["connected"])
    assert len(agent.events) == 2


def test_the_broker_says_who_may_ask_and_teach(tmp_path: Path) -> None:
    users = {"agent": "a:1", "reader": "r", "teacher": "t"}
    place, agent = Place(tmp_path, free_port(), RIGHTS, users), CountingAgent()
    (tmp_path / "rights").write_text(rights_of_the_document())
    (tmp_path / "rights").chmod(0o600)
    with place.running(), bridged(place, agent, place.login("agent")) as made:
        until(lambda: made.facts()["connected"])
        with (
            joined(place.port, "reader", password="r", listens="acclimate/answer/reader") as reader,  # noqa: S106
            joined(place.port, "teacher", password="t", listens="acclimate/answer/#") as teacher,  # noqa: S106
        ):
            reader.publish("acclimate/feedback/reader", b'{"event":"e0","label":"x"}')  # may not
            reader.publish("acclimate/predict/teacher", b'{"features":{"x":1}}')  # may not
            reader.publish("acclimate/predict/reader", b'{"id":1,"features":{"x":1}}')
            until(lambda: len(reader.got) == 1)
            teacher.publish("acclimate/feedback/teacher", b'{"id":2,"event":"e0","label":"odd"}')
            until(lambda: len(teacher.got) == 1)
            assert [json.loads(payload)["id"] for _, payload in teacher.got] == [2]  # and not the reader's answer
            assert (agent.events, agent.labels) == (["e0"], {"e0": "odd"})


def test_a_flood_at_a_real_broker_is_held(tmp_path: Path) -> None:
    place, agent = Place(tmp_path, free_port()), CountingAgent()
    with place.running(), bridged(place, agent, workers=2, waiting=50) as made:
        until(lambda: made.facts()["connected"])
        with (
            joined(place.port, NAME, listens="acclimate/answer/pump") as client,
            joined(place.port, "gauge", listens="acclimate/answer/gauge") as other,
        ):
            agent.gate.clear()
            for at in range(500):
                client.publish("acclimate/feedback/pump", b'{"id":%d,"event":"e0","label":"x"}' % at)
            client.publish("acclimate/predict/pump", b"x" * 3_000_000)
            until(lambda: len(client.got) == 450)  # refused at once; one is at hand, and 50 wait
            other.publish("acclimate/predict/gauge", b'{"features":{"x":1}}')
            until(lambda: len(other.got) == 1)
            agent.gate.set()
            until(lambda: len(client.got) == 501)
            errors = [json.loads(payload).get("error", {}) for _, payload in client.got]
            assert [one.get("kind") for one in errors].count("rate") == 449
            assert [one.get("message") for one in errors].count("the request is too long") == 1
            facts = made.facts()
            assert (facts["requests"], facts["refused_full"], facts["unsent"], facts["dropped"]) == (502, 449, 0, 0)
    assert not [t for t in threading.enumerate() if t.name.startswith(("acclimate-topics", "acclimate-broker"))]
