from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from acclimate_device import fleet_rows, lineage_rows
from acclimate_device.fleet_rows import FleetRows
from acclimate_device.store import Store
from acclimate_device.sync.outbox import Outbox
from acclimate_shared.lineage import Change, Lineage


def chain(length: int) -> list[bytes]:
    lineage = Lineage()
    for at in range(length):
        facts: dict[str, Any] = {"model": f"{at:064x}", "graph": "a" * 64, "schema": "c" * 64, "time_s": float(at)}
        parents = (lineage.head,) if at else ()
        lineage.append(Change(kind="commit" if at else "start", parents=parents, **facts))
    return lineage.dumps().splitlines(keepends=True)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lineages are too long soon."""
    monkeypatch.setattr(lineage_rows, "MOST_BYTES", 4_000)
    monkeypatch.setattr(lineage_rows, "KEPT_RECORDS", 3)
    monkeypatch.setattr(lineage_rows.fold, "__kwdefaults__", {"kept": 3})


@pytest.mark.usefixtures("few")
def test_a_long_life_takes_little_room(tmp_path: Path) -> None:
    lines, most = chain(400), 0
    with closing(Store(tmp_path)) as store:
        for at in range(0, 400, 4):
            store.commit({}, {}, lines[at : at + 4], after=at)
            with store.rows() as execute:
                most = max(most, lineage_rows.size(execute))
            whole, short = Lineage.loads(b"".join(lines[: at + 4])), Lineage.loads(store.lineage())
            assert (short.head, short.ledger()) == (whole.head, whole.ledger())
            before = Lineage.loads(store.lineage(at)) if at else None
            assert before is None or before.head == Lineage.loads(b"".join(lines[:at])).head
    assert most < 8_000 < len(b"".join(lines)) / 10
    with closing(Store(tmp_path)) as store:
        assert (store.lines(), Lineage.loads(store.lineage()).head) == (400, whole.head)


@pytest.mark.usefixtures("few")
def test_what_a_hub_has_not_heard_of_stays(tmp_path: Path) -> None:
    lines = chain(200)
    with closing(Store(tmp_path)) as store:
        box = Outbox(FleetRows(store), "pump-1", lambda: 0.0)
        store.commit({}, {}, lines[:20], after=0)
        assert box.take(store) == 20
        for at in range(20, 200, 4):
            store.commit({}, {}, lines[at : at + 4], after=at)
        places = [place for place, _ in store.lineage_after(0, 1_000)]
        assert places == [1, 19, *range(20, 201)]
        taken = 0
        while count := box.take(store):
            taken += count
            for row in box.window():
                FleetRows(store).forget(row.boot, [(row.sequence, row.sequence)])
        assert (taken, box.taken()) == (180, 200)
        store.commit({}, {}, [], after=200)
        with store.rows() as execute:
            assert lineage_rows.fold(execute, store.vault, before=200, kept=3) == 178
            assert fleet_rows.heard(execute, store.vault) == 200
        assert box.take(store) == 0
