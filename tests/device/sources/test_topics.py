"""Readings on topics: events from messages, what is not used is counted, a run learns from a real broker."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from acclimate_device.cli import main
from acclimate_device.local.broker import Broker, link_to
from acclimate_device.local.limits import BrokerLimits
from acclimate_device.sources.event import Event
from acclimate_device.sources.live import Readings
from acclimate_device.sources.rejects import Rejects
from acclimate_device.sources.text import MAX_LINE_BYTES
from acclimate_device.sources.topics import TopicSource
from tests.device.local.brokers import CountedMemoryLink, Place, joined
from tests.device.local.rig import until
from tests.hub.servers import free_port


class Rig:
    """A source over a link in memory."""

    def __init__(self, **readings: Any) -> None:
        self.link, self.rejects, self.stopped = CountedMemoryLink(), Rejects(), [False]
        made = Readings(rejects=self.rejects, now=lambda: 5.0, **readings)
        self.source = TopicSource(
            self.link, ["s/+"], made, prefix="agent", topic_field="where", limits=BrokerLimits(pending=2)
        )
        self.events = self.source.events(lambda: self.stopped[0])
        assert next(self.events) is None

    def come(self, *payloads: bytes, topic: str = "s/a", retained: bool = False) -> list[Event]:
        """Return the events of messages."""
        for payload in payloads:
            self.link.arrive(topic, payload, retained=retained)
        return list(iter(self.events.__next__, None))  # until nothing comes


def test_messages_become_events() -> None:
    rig = Rig(label="y", key="where")
    assert rig.link.topics == ["s/+"]
    assert rig.link.sent == [("agent/online", b"true", 1, True)]
    assert rig.come(b'{"x":1,"y":"up"}') == [Event(1, {"x": 1, "where": "s/a"}, "up", "s/a", 5.0)]
    assert rig.come(b'{"x":2,"where":"elsewhere"}', topic="s/b")[0].key == "s/b"  # the broker knows better
    rig.stopped[0] = True
    with pytest.raises(StopIteration):
        next(rig.events)
    assert (rig.link.sent[-1], rig.link.closed) == (("agent/online", b"false", 1, True), 1)


def test_what_cannot_be_used_is_counted() -> None:
    rig = Rig(time_column="at")
    bad = [b"hello", b"[1]", b"\xff", b"\0", b'{"x":{}}', b'{"x":1}', b"[" * 5000, b"x" * (MAX_LINE_BYTES + 1)]
    assert rig.come(*bad, b'{"at":7,"x":1}', b"") == [Event(9, {"x": 1, "where": "s/a"}, None, "", 7.0)]
    assert rig.rejects.count == len(bad)
    assert all(told["remedy"] for told in rig.rejects.first)
    assert rig.come(b'{"at":8}', retained=True) == []
    assert rig.rejects.count == len(bad)
    rig.link.dropped = 3
    assert rig.come() == []
    assert rig.rejects.by_reason["readings came faster than they are answered"] == 3


def test_predictions_are_told_where_the_reading_came_from() -> None:
    rig = Rig()
    rig.come(b'{"x":1}', topic="s/pump")
    rig.source.say({"row": 1, "predicted": 2.5})
    assert rig.link.sent[-1] == ("agent/predictions/s/pump", b'{"row": 1, "predicted": 2.5}', 1, False)
    rig.link.pending = 2
    rig.source.say({})
    rig.link.pending, rig.link.connected = 0, False
    rig.source.say({})
    assert rig.source.unsaid == 2


def test_the_broker_keeps_readings_for_a_session_that_lasts(tmp_path: Path) -> None:
    place, rejects = Place(tmp_path, free_port()), Rejects()

    def source(events: int) -> Generator[Event, None, None]:
        link = link_to(Broker(host="127.0.0.1", port=place.port), lasting=True)
        made = TopicSource(link, ["s/#"], Readings(rejects=rejects, time_column="at"))
        found = list[Event]()
        for event in made.events(lambda: len(found) == events):
            if event is None:
                yield Event(0, {"connected": link.connected}, None, "")
            else:
                found.append(event)
                yield event

    with place.running(), joined(place.port, "sensor") as sensor:
        first = source(1)
        until(lambda: next(first).values.get("connected"))
        sensor.publish("s/a", b'{"at":1}')
        until(lambda: next(first).time_s == 1)
        first.close()
        for at in (2, 3):
            sensor.publish("s/a", b'{"at":%d}' % at)
        assert [event.time_s for event in source(2) if event.time_s] == [2, 3]


def run(*options: str | Path) -> "subprocess.Popen[str]":
    roots = ":".join(part for part in sys.path if part)
    words = [sys.executable, "-m", "acclimate_device.cli", "run", "--source", "mqtt", "--learners", "rls", "--json"]
    words += ["--task", "regression", *map(str, options)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, env={**os.environ, "PYTHONPATH": roots})


def test_a_run_learns_from_sensors_and_tells_them_what_it_predicts(tmp_path: Path) -> None:
    place, rule = Place(tmp_path, free_port()), tmp_path / "ahead.toml"
    rule.write_text('kind = "value"\ncolumn = "temp"\nspan_s = 3\n')
    words: list[str | Path] = [
        "--broker",
        f"127.0.0.1:{place.port}",
        "--topics",
        "sensors/+",
        "--labels",
        rule,
        "--time",
        "at",
    ]
    with place.running(), joined(place.port, "sensor", listens="acclimate/#") as sensor:
        process = run(*words, "--topic-field", "sensor", "--key", "sensor", "--events", "80", "--state", tmp_path / "s")
        try:
            sensor.wait_for(b"true")
            for at in range(40):
                for name in ("a", "b"):
                    row = {"at": at, "temp": 20 + 4 * math.sin(at / 5) + (name == "b")}
                    sensor.publish(f"sensors/{name}", json.dumps(row).encode())
                if at == 20:
                    sensor.publish("sensors/a", b"nonsense")
            out, told = process.communicate(timeout=60)
            sensor.wait_for(b"false")
        finally:
            process.kill()
    assert process.returncode == 0, told
    assert "1 rows or labels were not used" in told
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 80
    assert sum(len(row["matured"]) for row in rows) == 2 * 37
    said = [json.loads(payload) for topic, payload in sensor.got if topic == "acclimate/predictions/sensors/b"]
    assert len(said) == 40
    assert all(row in rows for row in said)
    status = CliRunner().invoke(main, ["status", str(tmp_path / "s"), "--json"])
    assert json.loads(status.output)["learned"] == 2 * 37
