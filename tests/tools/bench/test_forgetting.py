"""The measurement of forgetting: its parts keep apart, its means are means, and a short form shows what it shows."""

from dataclasses import replace
from typing import Any

import pytest

from acclimate_tools.bench.forgetting import averaged, standard_error
from acclimate_tools.bench.forgetting_runs import SPLITS, forgotten, parts, read
from tests.recordings import recordings

MARKET = replace(next(s for s in SPLITS if s.name == "context: market"), read=2_400, most_old=600, micro_batch=16)


def test_the_parts_share_no_row_and_an_order_is_a_seed() -> None:
    _, rows = read(recordings(), MARKET)
    old, aside, new = parts(rows, MARKET, 0)
    places = [{row.row for row in part} for part in (old, aside, new)]
    assert len(set.union(*places)) == sum(len(part) for part in (old, aside, new))
    assert max(places[0] | places[1]) <= 1_200 < min(places[2])
    assert [row.row for row in parts(rows, MARKET, 0)[0]] == [row.row for row in old]
    assert [row.row for row in parts(rows, MARKET, 1)[0]] != [row.row for row in old]


@pytest.mark.slow
def test_a_short_form_tells_every_learner_and_leaves_the_inputs_alone() -> None:
    inputs, rows = read(recordings(), MARKET)
    before = inputs.document()
    found = forgotten(inputs, rows, MARKET, 0)
    assert inputs.document() == before
    assert {"rehearsal", "no rehearsal", "plain SGD", "shuffled"} <= set(found)
    assert found["shuffled"]["before"] == found["rehearsal"]["before"] > 0.7
    assert found["shuffled"]["after"] > 0.6


def test_means_and_their_errors() -> None:
    def one(seed: int, fall: float) -> dict[str, Any]:
        told = {"before": 1.0, "after": 1.0 - fall / 100, "fall_points": fall}
        whole = {"split": "s", "old": 1, "new": 1, "aside": 1, "micro_batches": 50, "seed": seed}
        return {**whole, "rehearsal": told, "no rehearsal": told, "plain SGD": told}

    out = averaged([one(0, 1.0), one(1, 3.5)])
    assert (out["rehearsal"]["fall_points"], out["rehearsal"]["standard_error"]) == pytest.approx((2.25, 1.25))
    assert out["seeds"] == [0, 1]
    assert not out["reached"]
    assert "shuffled" not in out
    assert standard_error([1.0]) is None
