"""No bytes from outside make a parser crash, hang or take much memory: damaged, cut, spliced and repeated inputs."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from acclimate_shared.errors import AcclimateError
from tests.results import FOLDER, Record, recording
from tests.system.doors import DOORS, Door

MOST_S = 2.0  # of one input, on a busy machine
MOST_MIB = 64.0  # beyond what was there
PORTION = 1_000  # inputs of one run of hypothesis, which keeps something of each
LONG = 50_000  # inputs a door
TOKENS = (
    b"", b"0", b"-1", b"1e999", b"9" * 40, b"null", b"nan", b'"', b"\\", b"\n", b",", b"[" * 3_000, b"{" * 3_000,
    b"a." * 2_000, b"\x00", b"\xff\xff\xff\xff", b"\xdf\x7f\xff\xff\xff", b"\xed\xa0\x80", b"1979-99-99",
    b"a = [" * 900,
)  # fmt: skip

Edit = tuple[int, float, int, bytes]
EDITS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.floats(0.0, 1.0, exclude_max=True),
        st.integers(0, 40),
        st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)),
    ),
    max_size=5,
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """Return bytes after edits: a byte replaced, a span replaced or taken out, a repetition, an end cut off."""
    for kind, where, length, new in edits:
        at = int(where * len(data))
        head, span, tail = data[:at], data[at : at + length], data[at + length :]
        match kind:
            case 0:
                data = head + new[:1] + data[at + 1 :]
            case 1:
                data = head + new + tail
            case 2:
                data = head + tail
            case 3:
                data = head + span * (len(new) + 2) + tail
            case _:
                data = head + new
    return data


def entered(door: Door, data: bytes) -> bool:
    """Return whether a door takes the bytes; it may refuse them in its own words, and soon."""
    begun = time.perf_counter()
    try:
        door.enter(data)
        taken = True
    except AcclimateError:
        taken = False
    if time.perf_counter() - begun > MOST_S:
        raise AssertionError(f"{len(data)} bytes took too long: {data[:200]!r}")
    return taken


def fuzz(door: Door, inputs: int, start: int) -> int:
    """Enter a door so many times; return how many inputs it took."""
    taken = 0
    for portion in range(0, inputs, PORTION):

        @seed(start + portion)
        @settings(
            max_examples=min(PORTION, inputs - portion),
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.sampled_from(door.good), EDITS)
        def enter(good: bytes, edits: list[Edit]) -> None:
            nonlocal taken
            taken += entered(door, edited(good, edits))

        enter()
    return taken


def peak_mib(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what work returns, and by how much the memory of this process rose above what was there, MiB."""
    own = Path("/proc/self")
    (own / "clear_refs").write_text("5")  # the peak begins anew
    before = memory_mib("VmRSS")
    found = work()
    return found, memory_mib("VmHWM") - before


def memory_mib(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024


@pytest.mark.parametrize("name", DOORS)
def test_good_inputs_are_taken(name: str) -> None:
    for good in DOORS[name].good:
        DOORS[name].enter(good)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_nothing_but_typed_errors(name: str) -> None:
    inputs = 500
    taken = fuzz(DOORS[name], inputs, 0)
    assert 0 < taken < inputs


def test_a_parser_that_crashes_is_found() -> None:
    def fragile(data: bytes) -> None:
        data.decode()  # raises UnicodeDecodeError

    with pytest.raises(UnicodeDecodeError):
        fuzz(Door(fragile, (b"plain",)), 500, 0)


@pytest.fixture(scope="module")
def record() -> Any:
    yield from recording(FOLDER / "fuzz.json")


@pytest.mark.long
@pytest.mark.parametrize("name", DOORS)
def test_a_million_inputs_together(name: str, record: Record) -> None:
    fuzz(DOORS[name], 200, 1)  # what is loaded once is there
    taken, mib = peak_mib(lambda: fuzz(DOORS[name], LONG, random.Random(name).randrange(2**32)))  # noqa: S311
    record("fuzz", name, {"inputs": LONG, "taken": taken, "peak_mib": round(mib, 1)})
    assert LONG * len(DOORS) >= 1_000_000
    assert mib <= MOST_MIB
