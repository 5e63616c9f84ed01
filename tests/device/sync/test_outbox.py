"""The outbox: one identity a message, nothing lost or made twice, a month without a hub, lineage never thinned."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from acclimate_device.store import Store
from acclimate_device.sync.limits import OutboxLimits
from acclimate_device.sync.outbox import Outbox
from acclimate_shared.errors import StateError
from acclimate_shared.lineage import Change, Lineage
from acclimate_shared.messages.down import Ack, Range
from acclimate_shared.messages.envelope import Envelope, decode
from acclimate_shared.messages.topics import Kind
from acclimate_shared.messages.up import CandidateScore, Metrics, Resources, RolloutBlock, Thinned
from acclimate_shared.waves import Stage
from tests.device.sync.wires import DEVICE, Clock, rows_in, swift_store

D = "d" * 64
DAY_S = 86_400.0


def metrics(start_s: float, width_s: float = 300.0, candidates: int = 4) -> Metrics:
    scores = [
        CandidateScore(candidate=f"candidate-{i}", role="challenger", measure="accuracy", labels=150, mean=0.8)
        for i in range(candidates)
    ]
    resources = Resources(predictions=150, memory_bytes=80_000_000, cpu_s=1.5, latency_p99_s=0.0004)
    return Metrics(start_s=start_s, end_s=start_s + width_s, schema=D, scores=tuple(scores), resources=resources)


def block(number: int) -> RolloutBlock:
    return RolloutBlock(rollout="r1", stage=Stage.SHADOW, block=number, labels=100, gain=-1.5)


def chain(records: int, seed: int = 0) -> Lineage:
    lineage = Lineage()
    for at in range(records):
        kind: Literal["commit", "start"] = "commit" if at else "start"
        parents = (lineage.head,) if at else ()
        model = f"{seed * 1000 + at:064x}"
        lineage.append(Change(kind=kind, model=model, graph=D, schema=D, parents=parents, time_s=float(at)))
    return lineage


def digests(lineage: Lineage) -> list[str]:
    return [record.digest for record in lineage]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with swift_store(tmp_path / "state") as store:
        yield store


def outbox(store: Store, clock: Clock | None = None, **limits: int) -> Outbox:
    return Outbox(rows_in(store), DEVICE, clock or Clock(), OutboxLimits(**limits))


def sent(box: Outbox) -> list[Envelope[object]]:
    return [decode(row.body, Kind.UP) for row in box.window()]


def acked(box: Outbox, messages: list[Envelope[object]]) -> None:
    for one in messages:
        box.acknowledged(Ack(acked=one.boot, ranges=(Range(one.sequence, one.sequence),)))


def test_a_message_keeps_its_bytes_until_it_is_acknowledged(tmp_path: Path) -> None:
    boots, starts, before = list[str](), list[int](), list[bytes]()
    for life in range(3):
        with closing(Store(tmp_path)) as store:
            box = outbox(store)
            boots.append(box.boot)
            starts.append(box.starts)
            box.put(block(life))
            now = sent(box)
            if life:
                assert [row.body for row in box.window()][:life] == before
            before = [row.body for row in box.window()]
    assert starts == [1, 2, 3]
    assert sorted(boots) == boots  # they grow
    assert len({(one.boot, one.sequence) for one in now}) == len(now) == 3
    with closing(Store(tmp_path)) as store:
        box = outbox(store)
        box.acknowledged(Ack(acked="0" * 16, ranges=(Range(1, 99),)))
        assert len(sent(box)) == 3
        acked(box, now)
        assert sent(box) == []


def test_records_are_taken_once_whenever_the_device_dies(tmp_path: Path) -> None:
    lineage, known, took = chain(40), 0, []
    for life in range(20):
        with closing(Store(tmp_path)) as store:
            lines = [lineage.line(digest) for digest in digests(lineage)[known : known + 3]]
            store.commit({}, {}, lines)
            known = store.lines()
            box = outbox(store, window=4)
            while life % 3 and box.take(store):
                took += sent(box)
                acked(box, sent(box))
    with closing(Store(tmp_path)) as store:
        box = outbox(store)
        box.take(store)
        took += sent(box)
    assert [one.body.digest for one in took] == digests(lineage)  # type: ignore[attr-defined]


def test_the_place_in_the_lineage_moves_with_its_messages_or_not_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit({}, {}, chain(5).dumps().splitlines(keepends=True))
    box = outbox(store)

    def refuse(*_: object) -> None:
        raise StateError("full")

    with monkeypatch.context() as patch:
        patch.setattr(box._rows, "_keep", refuse)
        with pytest.raises(StateError):
            box.take(store)
    assert (box.taken(), box.size()[0]) == (0, 0)
    assert box.take(store) == 5
    assert (box.taken(), box.take(store), box.size()[0]) == (5, 0, 5)


def test_after_a_return_to_an_old_copy_the_lineage_that_is_there_is_sent(store: Store) -> None:
    store.commit({}, {}, chain(5).dumps().splitlines(keepends=True))
    box = outbox(store)
    box.take(store)
    acked(box, sent(box))
    other = chain(6, seed=1)
    store.commit({}, {}, other.dumps().splitlines(keepends=True), after=0)
    box.take(store)
    assert [one.body.digest for one in sent(box)] == digests(other)  # type: ignore[attr-defined]


def test_no_more_than_a_window_of_records_leaves_the_lineage(store: Store) -> None:
    store.commit({}, {}, chain(30).dumps().splitlines(keepends=True))
    box = outbox(store, window=8)
    assert (box.take(store), box.take(store), box.size()[0]) == (8, 0, 8)
    acked(box, sent(box)[2:4])
    assert box.take(store) == 2


def test_a_month_without_a_hub_thins_metrics_and_says_so_and_nothing_else(store: Store) -> None:
    """30 days of buckets of five minutes in 1/16 of the usual room, with evidence between; a restart every week."""
    clock, limit = Clock(), 256 * 1024
    box = outbox(store, clock, most_bytes=limit)
    buckets = blocks = 0
    for day in range(30):
        if day and day % 7 == 0:
            box = outbox(store, clock, most_bytes=limit)
        for _ in range(288):
            box.put(metrics(clock.now_s))
            clock.now_s += 300.0
            buckets += 1
        box.put(block(blocks))
        blocks += 1
        assert box.size()[1] <= limit
    took = drained(box)
    bodies = [one.body for one in took]
    assert [body.block for body in bodies if isinstance(body, RolloutBlock)] == list(range(blocks))
    measured = [body for body in bodies if isinstance(body, Metrics)]
    assert sum(body.resources.predictions for body in measured) == 150 * buckets
    labels = Counter[str]()
    for body in measured:
        labels.update({score.candidate: score.labels for score in body.scores})
    assert set(labels.values()) == {150 * buckets}
    assert len(measured) < buckets / 8
    gone = {
        (body.thinned, number)
        for body in bodies
        if isinstance(body, Thinned)
        for number in range(body.first, body.last + 1)
    }
    came = {(one.boot, one.sequence) for one in took}
    assert not gone & came
    boots: dict[str, set[int]] = {}
    for boot, number in gone | came:
        boots.setdefault(boot, set()).add(number)
    assert len(boots) == 5
    for found in boots.values():  # every number that was ever given has come, or was announced
        assert found == set(range(1, max(found) + 1))


def drained(box: Outbox) -> list[Envelope[object]]:
    took: list[Envelope[object]] = []
    while now := sent(box):
        took += now
        acked(box, now)
    return took


def test_what_may_be_under_way_is_never_thinned(store: Store) -> None:
    clock = Clock()
    box = outbox(store, clock, most_bytes=64 * 1024, window=16)
    for _ in range(16):
        box.put(metrics(clock.now_s))
        clock.now_s += 300.0
    first = [row.body for row in box.window()]
    for _ in range(500):
        box.put(metrics(clock.now_s))
        clock.now_s += 300.0
    assert [row.body for row in box.window()] == first
    assert box.size()[1] <= 64 * 1024


def test_facts_survive_new_keys_and_are_sealed(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as store:
        rows = rows_in(store)
        rows.keep("identity", b"a very private key")
        assert rows.fact("other") is None
        store.rotate()
        assert rows.fact("identity") == b"a very private key"
    for file in tmp_path.iterdir():
        assert b"very private" not in file.read_bytes()
