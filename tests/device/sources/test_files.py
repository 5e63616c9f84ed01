"""Files of every kind of badness: a typed error or a counted reject, never a traceback, never unbounded memory."""

import gzip
import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.sources import Event, Rejects, open_source
from acclimate_device.sources.text import MAX_LINE_BYTES, file_digest
from acclimate_shared.errors import AcclimateError, SourceError, UsageError


def read(path: Path, label: str = "y", **options: object) -> tuple[list[Event], Rejects]:
    rejects = Rejects()
    source = open_source(str(path), label=label, rejects=rejects, **options)  # type: ignore[arg-type]
    try:
        return list(source), rejects
    finally:
        source.close()


def write(tmp_path: Path, content: bytes, name: str = "f.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_plain_file(tmp_path: Path) -> None:
    events, rejects = read(write(tmp_path, b"a,b,y\n1,x,p\n2,,q\n"))
    assert [(e.row, e.values["a"], e.values["b"], e.label) for e in events] == [(1, "1", "x", "p"), (2, "2", "", "q")]
    assert rejects.count == 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(tmp_path: Path, delimiter: str) -> None:
    events, _ = read(write(tmp_path, f"a{delimiter}b{delimiter}y\n1{delimiter}2{delimiter}3\n".encode()))
    assert events[0].label == "3"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,y\n1,p\n1\n", "1 fields instead of 2"),
        (b"a,y\n1,p,3\n", "3 fields instead of 2"),
        (b"a,y\n\xff\xfe,p\n", "not UTF-8"),
        (b"a,y\n1\x00,p\n", "NUL"),
        (b'a,y\n"open,p\n', "never closed"),
        (b'a,y\n"x"z"w",p\n', "not valid CSV"),
        (b"a,y\n" + b"9" * (MAX_LINE_BYTES + 10) + b",p\n1,q\n", "longer than"),
    ],
)
def test_a_bad_row_is_counted_with_number_and_remedy(tmp_path: Path, content: bytes, reason: str) -> None:
    _, rejects = read(write(tmp_path, content))
    assert rejects.count == 1
    assert reason in rejects.first[0]["reason"]
    assert rejects.first[0]["row"] >= 1
    assert rejects.first[0]["remedy"]


def test_the_stream_goes_on_after_a_bad_row(tmp_path: Path) -> None:
    events, rejects = read(write(tmp_path, b"a,y\n1,p\nbroken\n3,q\n"))
    assert [event.row for event in events] == [1, 3]
    assert rejects.first[0]["row"] == 2


@pytest.mark.parametrize("after", [0, 3, 5000])
@pytest.mark.parametrize("broken", [b'"open,p', b'x,"open'])
def test_an_open_quote_spoils_its_own_line_only(tmp_path: Path, broken: bytes, after: int) -> None:
    events, rejects = read(write(tmp_path, b"a,y\n" + broken + b"\n" + b"1,q\n" * after))
    assert (len(events), rejects.count) == (after, 1)
    assert "quote" in rejects.first[0]["reason"]


def test_an_open_quote_hides_no_other_bad_line(tmp_path: Path) -> None:
    events, rejects = read(write(tmp_path, b'a,y\n"open,p\n\xff,p\n3,q\n'))
    assert [event.row for event in events] == [3]
    assert [reject["row"] for reject in rejects.first] == [1, 2]


def test_a_quote_within_a_plain_field_is_a_character(tmp_path: Path) -> None:
    events, rejects = read(write(tmp_path, b'a,y\n5" pipe,p\n6" pipe,q\n7,r\n'))
    assert [event.values["a"] for event in events] == ['5" pipe', '6" pipe', "7"]
    assert rejects.count == 0


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    events, _ = read(write(tmp_path, "a\x0cb,y\n1,\u2028\n".encode()))
    assert events[0].values["a\x0cb"] == "1"


def test_a_record_is_bounded(tmp_path: Path) -> None:
    content = b'a,y\n"' + b"x" * (1 << 19) + b"\n" + b"z" * (1 << 19) + b'\n",p\n1,q\n'
    events, rejects = read(write(tmp_path, content))
    assert events[-1].label == "q"
    assert "too long" in rejects.first[0]["reason"]


def test_quoted_fields_may_hold_line_ends(tmp_path: Path) -> None:
    events, rejects = read(write(tmp_path, b'a,y\n"one\ntwo, three",p\n'))
    assert events[0].values["a"] == "one\ntwo, three"
    assert rejects.count == 0


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceError):
        read(write(tmp_path, content))


def test_a_missing_label_lists_the_columns(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="alpha, beta"):
        read(write(tmp_path, b"alpha,beta\n1,2\n"))


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="twice"):
        read(write(tmp_path, b"a,a,y\n1,2,3\n"))


def test_a_file_or_folder_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SourceError):
            read(path)


def test_truncated_gzip_gives_the_rows_before_the_end(tmp_path: Path) -> None:
    whole = gzip.compress(b"a,y\n" + b"".join(f"{i},{i % 3}\n".encode() for i in range(20_000)))
    events, rejects = read(write(tmp_path, whole[: len(whole) // 2], "t.csv.gz"))
    assert len(events) > 100
    assert rejects.count == 1
    assert "ends early" in rejects.first[0]["reason"]


def test_ten_thousand_columns_work_and_more_are_refused(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(9_999))
    events, _ = read(write(tmp_path, f"{names},y\n{'1,' * 9_999}p\n".encode()))
    assert len(events[0].values) == 9_999
    with pytest.raises(SourceError, match="too many"):
        read(write(tmp_path, f"{names},z,y\n".encode()))


def test_a_huge_cell_is_never_held(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"a,y\n")
        for _ in range(64):
            file.write(b"x" * (1 << 20))
        file.write(b",p\n1,q\n")
    tracemalloc.start()
    try:
        events, rejects = read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(events), rejects.count) == (1, 1)
    assert peak < 16 << 20


def test_max_rows_counts_rejected_rows_too(tmp_path: Path) -> None:
    events, rejects = read(write(tmp_path, b"a,y\n1,p\nbad\n3,q\n4,r\n"), max_rows=3)
    assert ([event.row for event in events], rejects.count) == ([1, 3], 1)


def test_jsonl(tmp_path: Path) -> None:
    content = b'{"a": 1, "y": "p"}\n{"a": {"deep": 1}, "y": "p"}\nnot json\n{"y": "q", "a": null}\n'
    events, rejects = read(write(tmp_path, content, "f.jsonl"))
    assert [(event.row, event.values["a"]) for event in events] == [(1, 1), (4, None)]
    assert rejects.count == 2


@pytest.mark.parametrize("name", ["f.txt", "f.jsonl", "f"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_json_lines_are_known_by_their_first_byte(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    events, _ = read(write(tmp_path, pack(b'{"a": 1.5, "y": "p"}\n'), name))
    assert events == [Event(1, {"a": 1.5}, "p", "")]


def test_a_key_without_value_is_the_empty_key(tmp_path: Path) -> None:
    content = b'{"d": 7, "a": 1, "y": 1}\n{"d": null, "a": 1, "y": 1}\n{"a": 1, "y": 1}\n'
    events, _ = read(write(tmp_path, content, "f.jsonl"), key="d")
    assert [event.key for event in events] == ["7", "", ""]


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="standard input"):
        read(tmp_path / "pipe")


def test_the_values_hold_no_label(tmp_path: Path) -> None:
    events, _ = read(write(tmp_path, b"a,y\n1,p\n"))
    assert events == [Event(1, {"a": "1"}, "p", "")]


@given(
    st.lists(st.binary(max_size=20).filter(lambda line: not set(line) & set(b'\n"') and line.strip(b"\r")), max_size=9)
)
def test_every_line_without_quotes_is_a_row(tmp_path_factory: pytest.TempPathFactory, content: list[bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.csv"
    path.write_bytes(b"\n".join([b"a,y", *content]))
    events, rejects = read(path)
    assert len(events) + rejects.count == len(content)


def test_key_and_ignore_are_not_features(tmp_path: Path) -> None:
    rejects = Rejects()
    path = write(tmp_path, b"t,d,a,y\n1,dev,2,p\n")
    source = open_source(str(path), label="y", key="d", ignore=("t", "d", "gone"), rejects=rejects)
    events = list(source)
    source.close()
    assert source.columns == ["a"]
    assert events[0].key == "dev"
    assert any("gone" in text for text in source.warnings)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        buffer = io.BufferedReader(io.BytesIO(b"a,y\n1,p\n"))

    monkeypatch.setattr("sys.stdin", Fake())
    assert [event.label for event in open_source("-", label="y", rejects=Rejects())] == ["p"]
    with pytest.raises(SourceError):
        file_digest("-")


@given(st.binary(max_size=400))
def test_any_bytes_give_typed_errors_only_and_every_row_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    for name in ("fuzz.csv", "fuzz.jsonl"):
        path = tmp_path_factory.getbasetemp() / name
        path.write_bytes(b"a,y\n" + content if name.endswith("csv") else b'{"a": 1, "y": 2}\n' + content)
        rejects = Rejects()
        try:
            source = open_source(str(path), label="y", rejects=rejects)
        except AcclimateError:
            continue
        events = list(source)
        source.close()
        assert len(events) + rejects.count == source.rows_read
