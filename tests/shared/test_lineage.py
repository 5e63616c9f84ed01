import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_shared.errors import CorruptStateError, StateError, StateMismatchError, UsageError
from acclimate_shared.lineage import Change, Lineage, Proof, Record, Window
from acclimate_shared.lineage_record import FIRST_FORMAT, MAX_BYTES, decoded, line, opened

GOLDEN = Path(__file__).parent / "golden" / "lineage-1.jsonl"
GOLDEN_HEAD = "05644363118be66127df0cfdc18e83280db978973b25bf1d9a7fb5ce118442b7"
VERSIONS = ["1.0", "1.1", "1.2", "2.0", "1.3", "2.1", "2.2", "1.4", "3.0", "4.0", "1.5"]
PROOF = Proof(
    digest="f" * 64, outcome="promote", log_e=9.25, threshold=8.5, alpha=0.003, index=2, labels=4000, low=0.01, high=0.2
)
PROVEN: dict[str, Any] = {"plan": "e" * 64, "evidence": PROOF, "gates": {"backtest": True}}
SAID: dict[str, Any] = {"who": "Ada Lovelace", "reason": "the pump was replaced"}


def change(lineage: Lineage, kind: Any, *parents: str, graph: str = "b", **more: Any) -> Change:
    digests = tuple(lineage[parent].digest for parent in parents)
    facts = {"model": f"{len(lineage):064x}", "graph": graph * 64, "schema": "c" * 64, "time_s": 1.7e9, **more}
    return Change(kind=kind, parents=digests, **facts)


def small() -> Lineage:
    """Every kind once, a branch and a merge."""
    lineage = Lineage()

    def add(kind: str, *parents: str, graph: str = "b", **more: Any) -> None:
        lineage.append(change(lineage, kind, *parents, graph=graph, **more))

    add("start", seed=7)
    add("commit", "1.0", window=Window(first=1, last=512, labels=500), cpu_s=0.25, gain=0.0625)
    add("commit", "1.1", window=Window(first=513, last=1024, labels=512), cpu_s=0.5)
    add("promote", "1.2", graph="d", cpu_s=4.0, gain=0.125, **PROVEN)
    add("rollback", "1.1", reason="the watch gave the alarm")
    add("commit", "2.0", graph="d", window=Window(first="α-1", last="α-9", labels=9), cpu_s=0.125)
    add("merge", "2.1", "1.3", graph="d", cpu_s=1.5)
    add("override", "1.3", **SAID)
    add("surgery", "2.2", graph="e", reason="a class was added")
    add("import", graph="e", origin="9" * 64)
    add("import", "1.4", reason="a bundle")
    return lineage


def versions(records: list[Record]) -> list[str]:
    return [record.version for record in records]


def raw_line(fields: dict[str, Any]) -> bytes:
    raw = msgspec.json.encode(fields, order="sorted")
    return b'{"digest":"' + hashlib.sha256(raw).hexdigest().encode() + b'","record":' + raw + b"}\n"


def first_fields(**more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.json.decode(next(iter(small())).canonical())
    return fields | more


# -- versions ---------------------------------------------------------------------------------------------------------


def test_versions_follow_from_graph_schema_and_parent() -> None:
    lineage = small()
    assert versions(list(lineage)) == VERSIONS
    assert lineage.next_version("b" * 64, "c" * 64, "1.0") == "1.6"
    assert lineage.next_version("b" * 64, "0" * 64, "1.0") == "5.0"
    assert lineage.next_version("b" * 64, "c" * 64) == "5.0"
    assert Lineage().next_version("b" * 64, "c" * 64) == "1.0"


STEPS = st.tuples(
    st.sampled_from(["commit", "promote", "rollback", "override", "merge"]), st.integers(0), st.booleans()
)


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=150)
def test_any_course_of_events_verifies_and_gives_no_version_twice(steps: list[tuple[str, int, bool]]) -> None:
    lineage = Lineage()
    lineage.append(change(lineage, "start"))
    tail = lineage.tail()
    for kind, pick, anew in steps:
        parents = [lineage[versions(list(lineage))[pick % len(lineage)]]]
        if kind == "merge" and lineage.head != parents[0].digest:
            parents.append(lineage[lineage.head])
        kind = "commit" if kind == "merge" and len(parents) == 1 else kind  # noqa: PLW2901 - nothing to merge with
        graph = "d" if anew and kind in {"promote", "rollback", "override", "merge"} else parents[0].graph[0]
        more = PROVEN if kind == "promote" else SAID if kind == "override" else {}
        new = change(lineage, kind, *versions(parents), graph=graph, **more)
        expected = lineage.next_version(new.graph, new.schema, parents[0].digest)
        before = lineage[lineage.head]
        record = lineage.append(new)
        assert record.version == expected
        assert record.previous == before.digest
        if [parent.digest for parent in parents] == [before.digest]:
            assert tail.append(new) == record
        tail = lineage.tail()
        same = graph == parents[0].graph[0]
        assert record.version.split(".")[0] == parents[0].version.split(".")[0] if same else record.version[-2:] == ".0"
    assert len(set(versions(list(lineage)))) == len(lineage) == len(steps) + 1
    lineage.verify()
    again = Lineage.loads(lineage.dumps(), head=lineage.head)
    assert list(again) == list(lineage)
    assert again.dumps() == lineage.dumps()


# -- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "kind", "parents", "more"),
    [
        ("kind", "start", (), {}),
        ("parents", "start", ("1.0",), {}),
        ("parents", "commit", (), {}),
        ("parents", "merge", ("1.1",), {}),
        ("parents", "merge", ("1.1", "1.1"), {}),
        ("parents", "commit", ("1.0", "1.1"), {}),
        ("graph", "commit", ("1.0",), {"graph": "d"}),
        ("graph", "commit", ("1.0",), {"schema": "d" * 64}),
        ("evidence", "promote", ("1.0",), PROVEN | {"evidence": None}),
        ("evidence", "promote", ("1.0",), PROVEN | {"plan": ""}),
        ("evidence", "promote", ("1.0",), PROVEN | {"evidence": msgspec.structs.replace(PROOF, outcome="reject")}),
        ("gates", "promote", ("1.0",), PROVEN | {"gates": {"backtest": True, "night": False}}),
        ("who", "override", ("1.0",), SAID | {"who": " "}),
        ("reason", "override", ("1.0",), SAID | {"reason": ""}),
        ("evidence", "override", ("1.0",), SAID | {"evidence": PROOF}),
        ("window", "commit", ("1.0",), {"window": Window(first=9, last=8, labels=0)}),
        ("record", "commit", ("1.0",), {"window": Window(first=1, last=8, labels=-1)}),
        ("record", "commit", ("1.0",), {"cpu_s": -1.0}),
        ("record", "commit", ("1.0",), {"cpu_s": float("nan")}),
        ("record", "commit", ("1.0",), {"gain": float("inf")}),
        ("record", "commit", ("1.0",), {"model": "A" * 64}),
        ("record", "commit", ("1.0",), {"model": "a" * 64 + "\n"}),
        ("record", "commit", ("1.0",), {"plan": "plan"}),
        ("record", "become", ("1.0",), {}),
        ("lineage", "commit", ("1.0",), {"reason": "\ud800"}),
        ("record", "commit", ("1.0",), {"window": Window(first=1, last=2**70, labels=1)}),
        ("bytes", "commit", ("1.0",), {"reason": "x" * MAX_BYTES}),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(field: str, kind: str, parents: tuple[str, ...], more: Any) -> None:
    lineage = small()
    before = lineage.dumps()
    with pytest.raises(StateError) as caught:
        lineage.append(change(lineage, kind, *parents, **more))
    assert caught.value.field == field
    assert lineage.dumps() == before


def test_the_first_record_is_a_root_and_parents_are_in_the_lineage() -> None:
    lineage = small()
    with pytest.raises(StateError, match="parents are records before it"):
        Lineage().append(change(lineage, "commit", "1.0"))
    assert Lineage().append(change(lineage, "import")).version == "1.0"


# -- damage -----------------------------------------------------------------------------------------------------------


def loaded_row(data: bytes) -> int | None:
    with pytest.raises(StateError) as caught:
        Lineage.loads(data)
    return caught.value.row


def short() -> bytes:
    return b"".join(small().dumps().splitlines(keepends=True)[:4])


def changes_found(values: Callable[[int], list[int]]) -> None:
    data = bytearray(short())
    row = 1
    for at, old in enumerate(bytes(data)):
        for new in values(old):
            data[at] = new
            assert loaded_row(bytes(data)) == row, (at, new)
        data[at] = old
        row += old == ord("\n")


@pytest.mark.slow
def test_every_changed_byte_is_found_and_its_line_named() -> None:
    changes_found(lambda old: [value for value in {old ^ 1, old ^ 0x20, ord(" "), ord("\n")} if value != old])


@pytest.mark.long
def test_every_change_of_every_byte_is_found() -> None:
    changes_found(lambda old: [value for value in range(256) if value != old])


@pytest.mark.slow
def test_every_lost_and_every_doubled_byte_is_found() -> None:
    data = short()
    for at in range(len(data)):
        assert loaded_row(data[:at] + data[at + 1 :]) is not None
        assert loaded_row(data[:at] + data[at : at + 1] + data[at:]) is not None


def test_lost_swapped_and_doubled_lines_are_found() -> None:
    lines = small().dumps().splitlines(keepends=True)
    assert loaded_row(b"".join(lines[1:])) == 1
    assert loaded_row(b"".join([*lines[:3], *lines[4:]])) == 4
    assert loaded_row(b"".join([*lines[:3], lines[4], lines[3], *lines[5:]])) == 4
    assert loaded_row(b"".join([*lines[:3], lines[2], *lines[3:]])) == 4


def test_only_the_head_shows_a_cut_tail_or_a_chain_written_anew() -> None:
    lineage = small()
    cut = b"".join(lineage.dumps().splitlines(keepends=True)[:-1])
    assert len(Lineage.loads(cut)) == len(lineage) - 1
    with pytest.raises(CorruptStateError, match="newest"):
        Lineage.loads(cut, head=lineage.head)
    assert not Lineage.loads(b"", head="").head
    with pytest.raises(CorruptStateError):
        Lineage.loads(b"", head=lineage.head)


def test_a_record_changed_in_memory_is_found() -> None:
    lineage = small()
    lineage["2.0"].gates["backtest"] = False
    with pytest.raises(CorruptStateError) as caught:
        lineage.verify()
    assert caught.value.row == 4


@given(st.binary(max_size=200))
def test_rubbish_is_refused_by_a_typed_error(data: bytes) -> None:
    raw = line(hashlib.sha256(data).hexdigest(), decoded(next(iter(small())).canonical()))
    for text in (data + b"\n", raw[:87] + data + b"\n"):
        assert loaded_row(text) is not None
    with pytest.raises(StateError):
        opened(data)
    with pytest.raises(StateError):
        decoded(data)


@pytest.mark.parametrize("raw", [b"[" * 5000, b"null", b'{"format":"1.0"}', b'{"format":1}', b"\xff"])
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises(StateError):
        decoded(raw)


# -- other formats ----------------------------------------------------------------------------------------------------


def test_fields_of_a_newer_minor_format_are_kept_at_any_depth() -> None:
    window = {"first": 1, "last": 2, "labels": 2, "weights": [0.5, {"b": 1, "a": None}]}
    fields = first_fields(format="1.7", joules=2.5, window=window)
    data = raw_line(fields)
    lineage = Lineage.loads(data)
    record = lineage["1.0"]
    assert record.unknown == {"joules": 2.5, "window": {"weights": [0.5, {"a": None, "b": 1}]}}
    assert record.window == Window(first=1, last=2, labels=2)
    lineage.append(change(lineage, "commit", "1.0"))
    assert lineage.dumps().startswith(data)
    assert Lineage.loads(lineage.dumps(), head=lineage.head)["1.1"].format == FIRST_FORMAT


@pytest.mark.parametrize("more", [{"joules": 2.5}, {"unknown": {"a": 1}}, {"reason": ""}, {"gain": None}])
def test_what_the_format_does_not_have_and_second_spellings_are_refused(more: dict[str, Any]) -> None:
    assert loaded_row(raw_line(first_fields(**more))) == 1
    if "joules" not in more:
        assert loaded_row(raw_line(first_fields(**more, format="1.1"))) == 1


def test_another_major_format_is_refused_as_such() -> None:
    for fields in (first_fields(format="2.0"), {"format": "2.0", "version": [2]}):
        with pytest.raises(StateMismatchError) as caught:
            Lineage.loads(short() + raw_line(fields))
        assert caught.value.row == 5


# -- questions --------------------------------------------------------------------------------------------------------


def test_family() -> None:
    lineage = small()
    assert versions(lineage.parents("2.2")) == ["2.1", "1.3"]
    assert versions(lineage.parents("1.0")) == []
    assert versions(lineage.children("1.1")) == ["1.2", "1.3"]
    assert versions(lineage.ancestors("2.2")) == ["1.0", "1.1", "1.2", "2.0", "1.3", "2.1"]
    assert versions(lineage.ancestors("1.4")) == ["1.0", "1.1", "1.3"]
    assert versions(lineage.descendants("1.2")) == ["2.0", "2.1", "2.2", "3.0"]
    assert versions(lineage.descendants("4.0")) == []
    assert versions(lineage.descendants(lineage["1.0"].digest)) == VERSIONS[1:9] + VERSIONS[10:]


def test_data_windows_go_up_to_the_root() -> None:
    found = small().windows("3.0")
    assert [(name, window.labels) for name, window in found] == [("1.1", 500), ("1.2", 512), ("2.1", 9)]


def test_the_path_between_two_versions_goes_over_a_common_ancestor() -> None:
    lineage = small()
    assert versions(lineage.path("1.0", "1.2")) == ["1.0", "1.1", "1.2"]
    assert versions(lineage.path("1.2", "1.0")) == ["1.2", "1.1", "1.0"]
    assert versions(lineage.path("2.0", "1.4")) == ["2.0", "1.2", "1.1", "1.3", "1.4"]
    assert versions(lineage.path("1.4", "3.0")) == ["1.4", "1.3", "2.2", "3.0"]
    assert versions(lineage.path("1.1", "1.1")) == ["1.1"]
    assert lineage.path("1.1", "4.0") == []


def test_a_version_that_is_not_there_is_a_wrong_question() -> None:
    lineage = small()
    questions: list[Callable[[str], object]] = [lambda name: lineage.path("1.0", name), lineage.parents]
    questions += [lineage.children, lineage.ancestors, lineage.descendants, lineage.windows, lineage.line]
    for ask in questions:
        with pytest.raises(UsageError, match=r"the newest is 1\.5"):
            ask("7.3")


@given(st.lists(st.tuples(st.integers(0, 10**15), st.booleans()), min_size=1, max_size=40))
def test_the_ledger_adds_up_to_the_metered_time_exactly(metered: list[tuple[int, bool]]) -> None:
    lineage = Lineage()
    for ns, major in metered:
        graph = "bd"[(lineage[lineage.head].graph[0] == "b") == major] if lineage else "b"
        parents, more = ([lineage.head], SAID) if lineage else ([], {})
        kind = "override" if parents else "start"
        lineage.append(change(lineage, kind, *parents, graph=graph, cpu_s=ns / 1e9, **more))
    ledger = lineage.ledger()
    assert ledger["total"].cpu_ns == sum(ns for ns, _ in metered) == ledger["data"].cpu_ns + ledger["model"].cpu_ns
    assert ledger["model"].records == 1 + sum(major for _, major in metered[1:])
    assert ledger["total"].records == len(metered)


def test_gain_for_a_second_counts_only_the_seconds_whose_gain_is_known() -> None:
    ledger = small().ledger()
    assert ledger["data"].gain_per_cpu_s == 0.0625 / 0.25
    assert ledger["model"].gain_per_cpu_s == 0.125 / 4.0
    assert (ledger["total"].gain, ledger["total"].labels, ledger["total"].cpu_s) == (0.1875, 1021, 6.375)
    assert Lineage().ledger()["total"].gain_per_cpu_s is None


# -- golden, speed ----------------------------------------------------------------------------------------------------


def test_the_golden_file_is_read_and_written_byte_for_byte() -> None:
    data = GOLDEN.read_bytes()
    lineage = Lineage.loads(data, head=GOLDEN_HEAD)
    assert versions(list(lineage)) == VERSIONS
    assert lineage.dumps() == data == small().dumps()


@pytest.mark.slow
def test_questions_about_a_hundred_thousand_versions_take_less_than_a_tenth_of_a_second() -> None:
    lineage, count = Lineage(), 100_000
    record = lineage.append(change(lineage, "start"))
    for at in range(1, count):
        window = Window(first=at * 512, last=at * 512 + 511, labels=512)
        record = lineage.append(change(lineage, "commit", record.digest, window=window, cpu_s=0.25))
    questions: dict[str, Callable[[], list[Any]]] = {
        "windows": lambda: lineage.windows(record.version),
        "ancestors": lambda: lineage.ancestors(record.version),
        "descendants": lambda: lineage.descendants("1.1"),
        "path": lambda: lineage.path(record.version, "1.1"),
        "parents": lambda: lineage.parents(record.version),
        "children": lambda: lineage.children("1.0"),
    }
    sizes, times = {}, {}
    for name, ask in questions.items():
        spent = []
        for _ in range(3):  # the least of them: a busy machine is no slow answer
            start = time.thread_time()
            sizes[name] = len(ask())
            spent.append(time.thread_time() - start)
        times[name] = min(spent)
    assert max(times.values()) < 0.1, times
    last = count - 1
    assert sizes == {
        "windows": last, "ancestors": last, "descendants": last - 1, "path": last, "parents": 1, "children": 1
    }  # fmt: skip
