"""What lies on the disk: sealed, kept no longer than said, destroyed for ever, and taken over from older formats."""

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from acclimate_device.agent import Agent
from acclimate_device.control import lineage_of, reopen
from acclimate_device.durability import Durability
from acclimate_device.journal import PREFIX
from acclimate_device.segment import SECTOR_BYTES
from acclimate_device.slots import Bases
from acclimate_device.status import describe
from acclimate_device.store import Store
from acclimate_device.wipe import rewrap, rotate, wipe
from acclimate_shared.errors import StateError, UsageError
from tests.device.durability.moments import OPTIONS, crashed
from tests.device.test_agent import events, taught
from tests.graphs import counter

GOLDEN = Path(__file__).parent.parent / "golden"


def test_nothing_readable_is_written(tmp_path: Path) -> None:
    number = 1234567.25
    with Agent(**OPTIONS, key="canary-key", state=tmp_path) as agent:
        for i in range(70):
            row = {"canary-column": number + i, "kind": f"canary-{i % 3}", "canary-key": f"canary-{i % 5}"}
            agent.feedback(agent.predict(row).id, f"canary-label-{i % 2}")
        agent.predict(row)
        agent._complete(agent._arena)  # type: ignore[arg-type]
    found = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(found) > 10_000
    needles = [b"canary", str(number).encode()]
    needles += [np.array(number + 69, kind).tobytes() for kind in ("<f4", "<f8", ">f8")]
    assert [needle for needle in needles if needle in found] == []
    assert b"committee" not in found.replace((lineage_bytes := lineage_of(tmp_path).dumps()), b"") or lineage_bytes


def test_no_row_is_kept_where_none_may_be(tmp_path: Path) -> None:
    none = Durability(retention="none")
    with pytest.raises(UsageError, match="knn"):
        Agent(task="classification", state=tmp_path, durability=none)
    with Agent(**OPTIONS, state=tmp_path, durability=none) as agent:
        taught(agent, events(50))
        agent.predict(events(1)[0][0])
        assert "labels of the last" in agent.status()["may_be_lost"]
    assert not list(tmp_path.glob(PREFIX + "*"))
    with closing(Store(tmp_path)) as store:
        saved = store.load()
    assert saved is not None
    assert saved[1]["waiting"] == []
    assert not [name for name in saved[0] if "waiting" in name or "queued" in name]
    with reopen(tmp_path) as agent:
        assert agent.status()["learned"] == 50
        assert "labels of the last" in agent.status()["may_be_lost"]


def test_a_thrifty_agent_makes_few_checkpoints(tmp_path: Path) -> None:
    agent = Agent(**OPTIONS, state=tmp_path, durability=Durability(profile="thrifty"))
    taught(agent, events(200))
    with closing(Store(Path(shutil.copytree(tmp_path, tmp_path / "copy")))) as store:
        saved = store.load()
    assert saved is not None
    assert saved[1]["counters"]["learned"] == 0  # the loss window of the profile, as it says
    agent.close()
    with Agent(**OPTIONS, state=tmp_path, durability=Durability(profile="thrifty")) as agent:
        assert agent.status()["learned"] == 200


def test_status_counts_wear_over_a_life(tmp_path: Path) -> None:
    seen = [0]
    for begin in (0, 40):
        with Agent(**OPTIONS, state=tmp_path) as agent:
            taught(agent, events(80)[begin : begin + 40])
            seen.append(agent.status()["bytes_written"])
        seen.append(describe(tmp_path)["bytes_written"])
    assert seen == sorted(seen)
    assert seen[2] >= 40 * SECTOR_BYTES
    assert describe(tmp_path)["bytes_written_per_1000_events"] == round(1000 * seen[-1] / 80)
    assert "no label" in describe(tmp_path)["may_be_lost"]


def test_wiping_leaves_nothing_and_proves_it(tmp_path: Path) -> None:
    with Agent(**OPTIONS, state=tmp_path) as agent:
        taught(agent, events(50))
        with pytest.raises(StateError, match="another process"):
            _quick(tmp_path)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}  # files of the agent alone
    (tmp_path / "notes.txt").write_text("mine")
    Bases(tmp_path).install("1" * 64, counter(), model="pump", version="1.0")
    Bases(tmp_path).withdraw("it says canary-label")
    for name in ("trust/root.json", "bundles/part", "acclimate.db.damaged-1", "slots.damaged"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"old")
    found = wipe(tmp_path)
    assert found["proven_shut"]
    assert found["key_forgotten"]
    assert found["left"] == []
    assert "flash" in found["not_promised"]
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    for name, data in kept.items():  # every other file from before, but the key: nothing opens
        if "key" not in name:
            (tmp_path / name).write_bytes(data)
    with pytest.raises(StateError, match="key of this state is missing"):
        Store(tmp_path)
    wipe(tmp_path)
    with pytest.raises(UsageError, match="no state"):
        wipe(tmp_path)


def _quick(folder: Path) -> None:
    from acclimate_device import store

    before, store.BUSY_S = store.BUSY_S, 0.05
    try:
        wipe(folder)
    finally:
        store.BUSY_S = before


def test_keys_change_and_nothing_is_lost(tmp_path: Path) -> None:
    agent = Agent(**OPTIONS, state=tmp_path / "a")
    taught(agent, events(50))
    waiting = agent.predict(events(51)[50][0]).id
    agent._complete(agent._arena)  # type: ignore[arg-type]
    agent._keeper.acknowledge()
    folder = crashed(agent, tmp_path / "a", tmp_path / "b")
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    rotate(folder)
    rewrap(folder)
    assert (folder / "acclimate.key").read_bytes() != old["acclimate.key"]
    with Agent(**OPTIONS, state=folder) as again:
        assert again.status()["learned"] == 50
        again.feedback(waiting, "class1")
    new = (folder / "acclimate.key").read_bytes()
    (folder / "acclimate.key").write_bytes(old["acclimate.key"])
    with pytest.raises(StateError, match="no key opens"):
        Store(folder)
    (folder / "acclimate.key").unlink()
    with pytest.raises(StateError, match="missing"):
        Store(folder)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "acclimate-key").write_bytes(b"0123456789abcdef" * 2)
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    (folder / "acclimate.key").write_bytes(new)
    (folder / "acclimate.key").chmod(0o600)
    assert "credential store" in rewrap(folder, environment)
    assert not (folder / "acclimate.key").exists()
    with closing(Store(folder, environment=environment)) as store:
        assert store.load() is not None
    with pytest.raises(StateError, match="missing"):
        Store(folder)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    assert (tmp_path / "acclimate.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "acclimate.key").chmod(0o644)
    with pytest.raises(StateError, match="chmod 600"):
        Store(tmp_path)
