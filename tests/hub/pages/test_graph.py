import itertools

from hypothesis import given
from hypothesis import strategies as st

from acclimate_hub.pages import graph


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    """Versions, newest first, each from up to two older ones, in an order that clocks may have disturbed."""
    count = draw(st.integers(0, 14))
    names = [f"v{at}" for at in range(count)]
    edges = []
    for at in range(count - 1):
        parents = draw(st.sets(st.integers(at + 1, count - 1), max_size=2))
        edges += [(names[at], names[parent]) for parent in sorted(parents)]
    return draw(st.permutations(names)), edges


@given(histories())
def test_children_stand_above_their_parents(history: tuple[list[str], list[tuple[str, str]]]) -> None:
    names, edges = history
    found = graph.ordered(names, edges)
    assert sorted(found) == sorted(names)
    assert all(found.index(child) < found.index(parent) for child, parent in edges)


@given(histories())
def test_no_line_runs_through_another_version(history: tuple[list[str], list[tuple[str, str]]]) -> None:
    names, edges = history
    rows = graph.lay_out(graph.ordered(names, edges), edges)
    lanes = [row.lane for row in rows]
    assert sum(len(row.parents) for row in rows) == len(edges)
    for at, row in enumerate(rows):
        for lane, end in row.parents:
            assert end > at
            assert lanes[end] == lane
            assert all(lanes[between] != lane for between in range(at + 1, end))
    assert all(lane <= len(names) for lane in lanes)


def test_circles_and_strangers_do_no_harm() -> None:
    edges = [("a", "b"), ("b", "a"), ("a", "a"), ("a", "elsewhere")]
    names = graph.ordered(["a", "b"], edges)
    assert sorted(names) == ["a", "b"]
    assert len(graph.lay_out(names, edges)) == 2


def test_the_picture_has_a_node_a_version_and_escapes_what_it_says() -> None:
    rows = graph.lay_out(["b", "a"], [("b", "a")])
    labels = {name: graph.Label(title="<script>", detail="&", url='"x') for name in "ab"}
    picture = graph.draw(rows, labels, title="t")
    assert picture.count("<circle") == 2
    assert picture.count('class="edge"') == 1
    assert "<script>" not in picture
    assert 'href="&#34;x"' in picture


def test_many_lanes_are_drawn_in_the_frame() -> None:
    names = [f"v{at}" for at in range(20)] + ["root"]
    edges = [(name, "root") for name in names[:-1]]
    edges += list(itertools.pairwise(names[:5]))
    rows = graph.lay_out(graph.ordered(names, edges), edges)
    picture = graph.draw(rows, {name: graph.Label(title=name, detail="") for name in names}, title="t")
    assert max(float(part.split('"')[0]) for part in picture.split('cx="')[1:]) <= graph.LANE * graph.MAX_LANES
