from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_shared.errors import CorruptStateError, StateError, UsageError
from acclimate_shared.lineage import Change, Lineage, Proof, Window
from acclimate_shared.lineage_fold import Link, folded_line, runs
from acclimate_shared.lineage_record import decoded, line, opened

PROOF = Proof(
    digest="f" * 64, outcome="promote", log_e=9.25, threshold=8.5, alpha=0.003, index=2, labels=4000, low=0.01, high=0.2
)
KINDS = st.lists(st.sampled_from(["commit", "commit", "commit", "promote", "rollback", "branch"]), max_size=40)


def grown(kinds: list[str]) -> Lineage:
    """A life: commits, and now and then something else."""
    lineage = Lineage()
    labels = 0

    def add(kind: Any, parents: tuple[str, ...], graph: str, **more: Any) -> None:
        facts: dict[str, Any] = {
            "model": f"{len(lineage):064x}",
            "graph": graph * 64,
            "schema": "c" * 64,
            "time_s": float(len(lineage)),
        }
        lineage.append(Change(kind=kind, parents=parents, **facts, **more))

    add("start", (), "a", seed=7)
    for kind in kinds:
        newest = list(lineage)[-1]
        graph = newest.graph[0]
        if kind == "promote":
            proven: dict[str, Any] = {"plan": "e" * 64, "evidence": PROOF, "gates": {"backtest": True}}
            add("promote", (newest.digest,), "b" if graph == "a" else "a", **proven)
        elif kind == "rollback":
            add("rollback", (newest.digest,), graph, reason="the watch gave the alarm")
        else:
            parent = list(lineage)[len(lineage) // 2] if kind == "branch" else newest
            window = Window(first=labels + 1, last=labels + 8, labels=8)
            add("commit", (parent.digest,), parent.graph[0], window=window, cpu_s=0.25, gain=0.5)
            labels += 8
    return lineage


def fold(lineage: Lineage, end: int) -> Lineage:
    """Read a lineage whose runs before ``end`` were folded."""
    records, lines, at = list(lineage), [], 0
    for first, last in runs([Link.of(record) for record in records], end):
        lines += [lineage.line(record.digest) for record in records[at:first]]
        lines.append(folded_line(records[first : last + 1]))
        at = last + 1
    lines += [lineage.line(record.digest) for record in records[at:]]
    return Lineage.loads(b"".join(lines), head=lineage.head)


@given(KINDS, st.data())
def test_sums_versions_and_everything_that_was_judged_stay(kinds: list[str], data: st.DataObject) -> None:
    whole = grown(kinds)
    short = fold(whole, data.draw(st.integers(0, len(whole))))
    assert short.head == whole.head
    assert short.ledger() == whole.ledger()
    graph, schema, newest = "a" * 64, "c" * 64, list(whole)[-1].version
    assert short.next_version(graph, schema, newest) == whole.next_version(graph, schema, newest)
    kept = {record.version for record in short}
    assert {record.version for record in whole if record.kind != "commit"} <= kept
    for record in whole:
        if record.version in kept and record.parents:
            ends = [window for _, window in short.windows(record.version)][-1:]
            assert [w.last for w in ends] == [w.last for _, w in whole.windows(record.version)][-1:]


@given(KINDS, st.data())
def test_folding_twice_is_folding_once(kinds: list[str], data: st.DataObject) -> None:
    whole = grown(kinds)
    end = data.draw(st.integers(0, len(whole)))
    once = fold(fold(whole, end), len(fold(whole, end)))
    assert once.dumps() == fold(whole, len(whole)).dumps()


def test_a_run_of_commits_becomes_one_record() -> None:
    whole = grown(["commit"] * 9)
    short = fold(whole, 8)
    assert [record.version for record in short] == ["1.0", "1.7", "1.8", "1.9"]
    found = short["1.7"]
    assert found.fold is not None
    assert (found.fold.records, found.fold.last) == (7, whole["1.7"].digest)
    assert found.window == Window(first=1, last=56, labels=56)
    assert (found.cpu_s, found.gain) == (1.75, 3.5)
    assert short.ancestors("1.9") == [short["1.0"], short["1.7"], short["1.8"]]
    with pytest.raises(UsageError, match="folded"):
        short["1.3"]


def test_a_changed_fold_is_found() -> None:
    short = fold(grown(["commit"] * 9), 8).dumps()
    for at in range(len(short)):
        with pytest.raises(StateError):
            Lineage.loads(short[:at] + bytes([short[at] ^ 1]) + short[at + 1 :])


def test_a_fold_that_counts_wrong_or_says_another_kind_is_refused() -> None:
    lines = fold(grown(["commit"] * 9), 8).dumps().splitlines(keepends=True)
    good = opened(lines[1].rstrip())
    for wrong in (good.replace(b'"records":7', b'"records":6'), good.replace(b'"kind":"commit"', b'"kind":"rollback"')):
        record = decoded(wrong)
        with pytest.raises(CorruptStateError):
            Lineage.loads(lines[0] + line(record.seal, record) + b"\n" + b"".join(lines[2:]))
    with pytest.raises(StateError, match="format"):
        decoded(good.replace(b'"format":"1.1"', b'"format":"1.0"'))
