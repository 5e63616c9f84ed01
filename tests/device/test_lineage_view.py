import json
from typing import Any

import pytest

from acclimate_device.lineage_view import MOST_WINDOWS, detail, detail_text, overview, overview_text
from acclimate_shared.errors import UsageError
from acclimate_shared.lineage import Change, Lineage, Proof, Window

PROOF = Proof(
    digest="f" * 64, outcome="promote", log_e=9.25, threshold=8.5, alpha=0.003, index=2, labels=4000, low=0.01, high=0.2
)


def add(lineage: Lineage, kind: Any, *parents: str, graph: str = "b", **more: Any) -> None:
    digests = tuple(lineage[parent].digest for parent in parents)
    facts = {"model": f"{len(lineage):064x}", "graph": graph * 64, "schema": "c" * 64, "time_s": 1.7e9, **more}
    lineage.append(Change(kind=kind, parents=digests, **facts))


@pytest.fixture
def lineage() -> Lineage:
    made = Lineage()
    add(made, "start", time_s=0.0, seed=7)
    add(made, "commit", "1.0", window=Window(first=1, last=1512, labels=1500), cpu_s=0.25, gain=0.0625)
    add(made, "promote", "1.1", graph="d", cpu_s=4.0, plan="e" * 64, evidence=PROOF, gates={"night": True})
    add(made, "commit", "1.1", window=Window(first="x-1", last="x-9", labels=9))
    add(made, "merge", "2.0", "1.2", graph="d")
    add(made, "override", "1.1", who="Ada", reason="a \x1b[31mpump\nwas replaced")
    return made


def test_the_table_is_this_table(lineage: Lineage) -> None:
    assert overview_text(lineage).splitlines() == [
        "    version  kind      from       labels     gain     cpu s  why",
        "●   1.0      start                     0               0.00",
        "●   1.1      commit    1.0         1,500  +0.0625      0.25",
        "●   2.0      promote   1.1             0               4.00",
        "│●  1.2      commit    1.1             9               0.00",
        "●│  2.1      merge     2.0 1.2         0               0.00",
        "●   1.3      override  1.1             0               0.00  Ada: a ?[31mpump?was replaced",
        "",
        "    data: 4 versions, 0.25 CPU s, gain 0.25 a CPU second",
        "   model: 2 versions, 4.00 CPU s, gain not measured",
        "   total: 6 versions, 4.25 CPU s, gain 0.25 a CPU second",
    ]


def test_an_empty_lineage_is_a_table_without_rows() -> None:
    assert overview(Lineage())["versions"] == []
    assert "0 versions" in overview_text(Lineage())


def test_the_values_are_json_and_say_the_same(lineage: Lineage) -> None:
    found = overview(lineage)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [each["version"] for each in found["versions"]] == ["1.0", "1.1", "2.0", "1.2", "2.1", "1.3"]
    assert found["versions"][4]["parents"] == ["2.0", "1.2"]
    assert found["versions"][1] == {
        "version": "1.1", "kind": "commit", "parents": ["1.0"], "labels": 1500, "gain": 0.0625, "cpu_s": 0.25,
        "time_s": 1.7e9, "reason": "", "who": "",
    }  # fmt: skip
    assert found["head"] == lineage.head
    assert found["ledger"]["data"]["cpu_s"] + found["ledger"]["model"]["cpu_s"] == found["ledger"]["total"]["cpu_s"]


def test_one_version_with_everything_that_it_rests_on(lineage: Lineage) -> None:
    merged = detail(lineage, "2.1")
    assert json.loads(json.dumps(merged, allow_nan=False)) == json.loads(json.dumps(merged))
    assert (merged["parents"], merged["children"], merged["roots"]) == (["2.0", "1.2"], [], ["1.0"])
    assert [window["version"] for window in merged["windows"]] == ["1.1", "1.2"]
    assert (merged["labels"], merged["cpu_s_from_root"]) == (1509, 4.25)
    promoted = detail(lineage, "2.0")["record"]
    assert promoted["evidence"]["digest"] == "f" * 64
    assert (promoted["plan"], promoted["gates"], promoted["cpu_s"]) == ("e" * 64, {"night": True}, 4.0)
    assert promoted["digest"] == lineage["2.0"].digest


def test_one_version_as_text(lineage: Lineage) -> None:
    promoted = detail_text(lineage, "2.0")
    for part in ("2.0 (promote, 2023-11-14 22:13:20", "parents  1.1", "children  2.1", "gate  night: passed"):
        assert part in promoted
    assert "promote: test 2, alpha 0.003, log evidence 9.250 of 8.500, 4,000 labels" in promoted
    assert "4.00 CPU s since the parent, 4.25 from the root" in promoted
    first = detail_text(lineage, lineage["1.0"].digest)
    assert "1.0 (start, row 0)" in first
    assert "none: a root" in first
    assert "seed  7" in first
    assert "x-1 to x-9, 9 labels" in detail_text(lineage, "2.1")
    assert not any(char for text in (promoted, detail_text(lineage, "1.3")) for char in text if char in "\x1b\r")


def test_many_windows_are_told_shortly_on_a_terminal_and_in_full_as_json(lineage: Lineage) -> None:
    for at in range(30):
        add(lineage, "commit", lineage.head, window=Window(first=at, last=at, labels=1))
    version = lineage[lineage.head].version
    text = detail_text(lineage, version)
    assert text.count(" to ") == MOST_WINDOWS
    assert "… 21 windows before these" in text
    assert len(detail(lineage, version)["windows"]) == 31


def test_a_version_that_is_not_there(lineage: Lineage) -> None:
    for ask in (detail, detail_text):
        with pytest.raises(UsageError, match="no such version"):
            ask(lineage, "9.9")
