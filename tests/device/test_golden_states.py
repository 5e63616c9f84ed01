"""State folders that earlier versions wrote keep loading: one of every format, copied while its agent was at work.

Each holds 120 predictions of ``events``, 110 of them labelled ten events later, a commit after the 80th, and a journal
that goes on after its last checkpoint.
"""

import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from acclimate_device.agent import Agent
from acclimate_device.store import Store
from acclimate_device.store_tables import FORMAT
from acclimate_shared.lineage import Lineage
from tests.device.durability.moments import OPTIONS
from tests.device.test_agent import events

GOLDEN = sorted((Path(__file__).parent / "golden").glob("state-*.tar.gz"))
HEADS = {
    3: "cae9dd695df9d30f8d9c926fcb5f9dcc41b0f2dcd306631f27bc90958b5ff2e9",
    4: "71a0746328749779403d30b6ebd883ea0f52cd03156b02d8f57c8f61adf3daf5",
}  # format: digest of the newest record of the lineage at the last checkpoint
KEPT = {3: (71, 69), 4: (71, 67)}  # labels learned at the last checkpoint, and its tensors


def test_there_is_one_of_the_present_format() -> None:
    assert f"state-{FORMAT}.tar.gz" in [path.name for path in GOLDEN]


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(request.param) as archive:
        safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4
        archive.extractall(tmp_path, **safely)  # noqa: S202 - our own
    return tmp_path


def test_it_goes_on_where_it_was(folder: Path) -> None:
    stream = events(130)
    with Agent(**OPTIONS, state=folder) as agent:
        status = agent.status()
        assert (status["learned"], status["waiting"], status["trouble"]) == (110, 10, [])
        assert status["version"] == "1.4"
        for at in range(110, 120):  # these were predicted by the version that wrote it
            agent.feedback(f"e-{at}", stream[at][1])
        right = 0
        for features, label in stream[120:]:
            answer = agent.predict(features)
            right += answer.label == label
            agent.feedback(answer.id, label)
    assert right > 3
    with Agent(**OPTIONS, state=folder) as agent:
        assert agent.status()["learned"] == 130


def test_its_checkpoint_and_its_lineage_are_whole(folder: Path, request: pytest.FixtureRequest) -> None:
    number = int(request.node.callspec.id.split("-")[1].split(".")[0])
    with closing(Store(folder)) as store:
        saved = store.load()
        assert saved is not None
        assert Lineage.loads(store.lineage()).head == HEADS[number]
        assert (saved[1]["counters"]["learned"], len(saved[0])) == KEPT[number]
    assert not [path.name for path in folder.iterdir() if b'"previous"' in path.read_bytes()]
    with closing(Store(folder)) as store:  # brought to the present format once
        assert Lineage.loads(store.lineage()).head == HEADS[number]
