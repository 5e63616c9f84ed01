"""Labels of live sources: from the rows, or by a rule that survives the end of a run, however it ends."""

import io
import json
import math
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from acclimate_device.agent import Agent
from acclimate_device.daemon import Settings, run
from acclimate_device.feeds import Feed, Fields, lines_feed, patient
from acclimate_device.labelling import Known, Labelling
from acclimate_device.natural import NaturalLabels, Rule
from acclimate_device.sources.event import Event
from acclimate_device.sources.live import LiveSource, Readings
from acclimate_device.sources.rejects import Rejects
from tests.device.durability.moments import crashed

RULES = (
    Rule(kind="value", column="temp", span_s=4.0),
    Rule(kind="mean", column="temp", span_s=3.0, levels=((20.0, "cool"),), highest="warm"),
    Rule(kind="within", column="temp", span_s=5.0, threshold=22.0),
    Rule(kind="crossing", column="temp", span_s=6.0, threshold=21.0),
)
ROWS = 60


def readings(count: int = ROWS) -> list[Event]:
    return [
        Event(i + 1, {"temp": 20 + 4 * math.sin(i / 5), "room": "ab"[i % 2]}, None, "ab"[i % 2], 100.0 + i)
        for i in range(count)
    ]


def fed(agent: Agent, labelling: Labelling, events: list[Event]) -> Known:
    """Predict events; return the labels that were given, by time of their event."""
    given: Known = []
    for name, label in labelling.resumed:
        agent.feedback(name, label)
        given.append((name, label))
    for event in events:
        assert event.time_s is not None
        answer = agent.predict(event.values, event_id=f"at-{event.time_s:g}", time_s=event.time_s)
        for name, label in labelling.after(answer.id, event, event.time_s):
            agent.feedback(name, label)
            given.append((name, label))
    return given


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
@pytest.mark.parametrize("how", ["closed", "crashed"])
def test_a_run_that_ends_goes_on_labelling_where_it_was(tmp_path: Path, rule: Rule, how: str) -> None:
    events, natural = readings(), NaturalLabels(rule)
    expected = [
        told
        for event in events
        for told in natural.see(f"at-{event.time_s:g}", event.key, event.time_s or 0.0, event.values)
    ]
    task: Any = "regression" if rule.kind == "value" else "classification"
    options: dict[str, Any] = {"task": task, "learners": ["rls"], "key": "room"}
    given: Known = []
    here = tmp_path / "0"
    for turn, begin in enumerate(range(0, ROWS, 13)):
        agent = Agent(**options, state=here)
        given += fed(agent, Labelling(agent, rule), events[begin : begin + 13])
        if how == "closed":
            agent.close()
        else:
            assert agent._arena is not None
            agent._complete(agent._arena)
            agent._keeper.acknowledge()
            here = crashed(agent, here, tmp_path / str(turn + 1))
    assert given == expected
    assert len(given) > 20


def test_rows_that_bring_their_label_are_labelled_at_once() -> None:
    agent = Agent(task="classification", learners=["softmax"])
    labelling = Labelling(agent, None)
    assert labelling.after("a", Event(1, {}, "up", ""), 0.0) == [("a", "up")]
    assert labelling.after("b", Event(2, {}, None, ""), 0.0) == []
    assert labelling.after("c", Event(3, {}, 7, ""), 0.0) == [("c", "7")]


def stream(*rows: object) -> io.BytesIO:
    return io.BytesIO(b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows))


def test_live_rows() -> None:
    rejects = Rejects()
    file = stream({"at": 5, "x": 1, "who": "a", "y": "up", "no": 3}, b"junk", b"", {"x": 2}, {"at": 6, "x": None})
    source = LiveSource(file, Readings(rejects=rejects, label="y", key="who", time_column="at", ignore=("no",)))
    first, second = source.events()
    assert first == Event(1, {"x": 1, "who": "a"}, "up", "a", 5.0)
    assert second == Event(4, {"x": None}, None, "", 6.0)
    assert [told["row"] for told in rejects.first] == [2, 3]
    timed = LiveSource(stream({"x": 1}), Readings(rejects=rejects, now=lambda: 7.5))
    assert next(timed.events()).time_s == 7.5


def test_who_waits_for_a_pipe_hears_when_to_stop() -> None:
    source = patient(iter([Event(1, {}, None, "")]), lambda: False)
    assert [event for event in source if event] == [Event(1, {}, None, "")]
    stops = iter([False, False, True])
    blocked = patient(_blocked(), lambda: next(stops))
    assert list(blocked) == [None, None]


def _blocked() -> Any:
    threading.Event().wait(5.0)
    yield Event(1, {}, None, "")


def test_a_fault_of_the_source_is_not_swallowed() -> None:
    def broken() -> Any:
        yield Event(1, {}, None, "")
        raise OSError("the pipe broke")

    source = patient(broken(), lambda: False)
    with pytest.raises(OSError, match="broke"):
        list(source)


def test_a_run_over_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"at": e.time_s, "temp": e.values["temp"], "room": e.key} for e in readings()]
    feed = lines_feed(
        stream(*rows[:30], {"at": 1.0, "temp": "hot", "room": "a"}, *rows[30:]),
        Fields(rule=RULES[0], key="room", time_column="at"),
    )
    settings = Settings(task="regression", learners=("rls",), key="room", state=tmp_path, as_json=True)
    done = run(settings, feed)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["row"] for row in told] == [*range(1, 31), *range(32, 62)]
    matured = dict(label for row in told for label in row["matured"])
    assert matured[1] == pytest.approx(rows[4]["temp"])
    assert len(matured) > 50
    assert done.rejects.count == 1
    assert done.rejects.first[0]["row"] == 31


def test_the_table_of_a_run_is_drawn_while_learning_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    events = readings(400)
    feed = Feed(events=lambda _: iter(events), rule=RULES[1], title="how warm?")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run(Settings(learners=("softmax", "naive-bayes")), feed)
    finally:
        sys.setswitchinterval(before)
    assert "how warm?" in capsys.readouterr().err
