"""Who has taught what: counts, bounds, and the same after a restart."""

import numpy as np
import pytest

from acclimate_device.admission import provenance
from acclimate_device.admission.provenance import Provenance


def told(of: Provenance, source: str, values: list[float]) -> None:
    x = np.array(values)[:, None]
    of.note(x, np.arange(len(values)), np.ones(len(values), np.float32), [source] * len(values))


def test_it_knows_since_when_each_source_teaches_and_what() -> None:
    this = Provenance()
    told(this, "", [0.0, 1.0])
    assert this.newcomers(["", "ada"]) == {"ada"}
    told(this, "ada", [2.0, 3.0])
    told(this, "", [4.0])
    told(this, "bob", [5.0])
    told(this, "ada", [6.0])
    assert this.known == {"": (1, 3), "ada": (3, 3), "bob": (6, 1)}
    assert [row.x[0] for row in this.others("ada", 2)] == [4.0, 5.0]
    assert [row.x[0] for row in this.others("bob", 0)] == [2.0, 3.0, 4.0, 6.0]  # before a name came, no row was kept
    this.drop("ada")
    assert [row.x[0] for row in this.others("bob", 0)] == [4.0]
    assert this.newcomers(["ada", "bob"]) == {"ada"}


def test_a_flood_washes_away_nothing_but_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "ROWS", 4)
    monkeypatch.setattr(provenance, "MOST_TEACHERS", 3)
    this = Provenance()
    told(this, "ada", [1.0, 2.0])
    told(this, "bob", [3.0] * 1_000)
    assert [row.x[0] for row in this.others("", 0)] == [1.0, 2.0, *[3.0] * 4]
    for name in ("cy", "di"):
        told(this, name, [9.0])
    assert [row.x[0] for row in this.others("bob", 0)] == [9.0, 9.0]  # ada was heard of longest ago
    monkeypatch.setattr(provenance, "MOST_BYTES", 8 * 3 * 2)
    told(this, "di", [9.0] * 5)
    assert len(this.others("", 0)) == 2 + 1 + 2


def test_too_many_to_be_told_apart_are_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "MOST_KNOWN", 2)
    this = Provenance()
    for name in ("ada", "bob", "cy"):
        told(this, name, [1.0])
    assert this.crowded
    assert list(this.known) == ["ada", "bob"]


@pytest.mark.parametrize("keeps", [True, False])
def test_it_goes_on_where_it_was(keeps: bool) -> None:
    first, second = Provenance(keeps_rows=keeps), Provenance(keeps_rows=keeps)
    for name in ("", "ada", "bob", "ada"):
        told(first, name, [1.0, 2.0, np.nan])
    second.restore(first.tensors(), first.document())
    for this in (first, second):
        told(this, "cy", [4.0])
    assert first.document() == second.document()
    assert bool(first.tensors()) == keeps
    for name, array in first.tensors().items():
        np.testing.assert_array_equal(array, second.tensors()[name])
