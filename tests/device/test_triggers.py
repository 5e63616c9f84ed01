"""Scripted streams fire exactly where they should; composition is boolean; what is resumed goes on the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_device.triggers import Firing, Moment, Policy, Scheduler
from acclimate_shared.errors import CorruptStateError, InputError, UsageError


def policy(trigger: dict[str, Any], **others: Any) -> Policy:
    """Return a policy of plain values."""
    return Policy.from_dict({"trigger": trigger, **others})


def run(scheduler: Scheduler, moments: list[Moment]) -> list[Firing]:
    """Return all firings."""
    return [firing for moment in moments if (firing := scheduler.update(moment))]


def ticks(rows: int, *, seconds: float = 1.0, **fields: Any) -> list[Moment]:
    """Return one labelled row every so many seconds; a field that is a list gives one value a row."""
    return [
        Moment(
            rows=i,
            labelled=i,
            time_s=i * seconds,
            **{name: value[i] if isinstance(value, list) else value for name, value in fields.items()},
        )
        for i in range(rows)
    ]


def at(firings: list[Firing]) -> list[int]:
    """Return the rows of firings."""
    return [firing.rows for firing in firings]


def test_time_in_seconds() -> None:
    firings = run(Scheduler(policy({"kind": "time", "every_s": 300})), ticks(1000))
    assert at(firings) == [300, 600, 900]
    assert firings[0] == Firing(trigger="time", cause={"passed_s": 300.0, "passed_rows": 300}, rows=300, time_s=300.0)


def test_time_in_rows_and_the_first_of_both() -> None:
    assert at(run(Scheduler(policy({"kind": "time", "every_rows": 400})), ticks(1000))) == [400, 800]
    both = policy({"kind": "time", "every_rows": 400, "every_s": 1000})
    assert at(run(Scheduler(both), ticks(1000, seconds=10.0))) == [100, 200, 300, 400, 500, 600, 700, 800, 900]


def test_time_that_goes_back_stands_still() -> None:
    scheduler = Scheduler(policy({"kind": "time", "every_s": 100}))
    times = [0.0, 60.0, 10.0, 99.0, 0.0, 100.0, 50.0, 199.0, 200.0]
    moments = [Moment(rows=i, labelled=0, time_s=time) for i, time in enumerate(times)]
    assert at(run(scheduler, moments)) == [5, 8]


def test_volume_in_labels() -> None:
    assert at(run(Scheduler(policy({"kind": "volume", "labelled": 250})), ticks(1000))) == [250, 500, 750]


def test_volume_in_percent_grows_with_what_is_known() -> None:
    scheduler = Scheduler(policy({"kind": "volume", "percent": 50, "labelled": 10}))
    firings = run(scheduler, ticks(60))
    assert at(firings) == [10, 20, 30, 45]
    assert firings[-1].cause == {"new_labelled": 15, "needed": 15}


def test_volume_counts_labels_not_rows() -> None:
    moments = [Moment(rows=i, labelled=i // 10, time_s=float(i)) for i in range(1000)]
    assert at(run(Scheduler(policy({"kind": "volume", "labelled": 25})), moments)) == [250, 500, 750]


def test_performance_against_its_own_reference() -> None:
    losses = [0.1] * 100 + [0.3] * 100
    trigger = {"kind": "performance", "margin": 0.1, "window": 20}
    firings = run(Scheduler(policy(trigger)), ticks(200, loss=losses))
    assert at(firings) == [110]  # 11 of 20 losses are 0.3; from then on 0.3 is usual
    assert firings[0].cause == {"loss": pytest.approx(0.21), "reference": pytest.approx(0.1), "margin": 0.1}


def test_performance_against_a_given_reference_fires_until_it_is_good_again() -> None:
    losses: list[float | None] = [0.5] * 50 + [None] * 50 + [0.1] * 100
    trigger = {"kind": "performance", "margin": 0.1, "window": 20, "reference": 0.2}
    assert at(run(Scheduler(policy(trigger)), ticks(200, loss=losses))) == [19, 39]


def test_performance_that_gets_better_is_no_trigger() -> None:
    trigger = {"kind": "performance", "margin": 0.1, "window": 20}
    assert run(Scheduler(policy(trigger)), ticks(200, loss=[0.3] * 100 + [0.0] * 100)) == []


@pytest.mark.parametrize("name", ["adwin", "page-hinkley"])
@pytest.mark.parametrize("on", ["loss", "drift"])
def test_drift_of_the_loss(name: str, on: str) -> None:
    rng = np.random.default_rng(0)
    values = (rng.random(4000) < np.where(np.arange(4000) < 2000, 0.1, 0.5)).astype(float).tolist()
    firings = run(Scheduler(policy({"kind": "drift", "detector": name, "on": on})), ticks(4000, **{on: values}))
    assert len(firings) == 1
    assert 2000 <= firings[0].rows < 2300
    assert firings[0].cause["detector"] == name
    assert firings[0].cause["change"] > 0


def test_drift_that_falls_can_be_left_out() -> None:
    values = [0.5] * 1000 + [0.0] * 1000
    trigger = {"kind": "drift", "detector": "adwin", "on": "loss"}
    assert len(run(Scheduler(policy(trigger)), ticks(2000, loss=values))) == 1
    assert run(Scheduler(policy({**trigger, "rises_only": True})), ticks(2000, loss=values)) == []


def test_drift_of_features() -> None:
    x = np.random.default_rng(0).standard_normal((5000, 2))
    x[3000:, 1] += 2.0
    rows = [tuple(row) for row in x.tolist()]
    firings = run(Scheduler(policy({"kind": "drift", "detector": "features"})), ticks(5000, drift=rows))
    assert len(firings) == 1
    assert 3000 <= firings[0].rows < 4000
    assert firings[0].cause["feature"] == 1


# Leaves that are due or not from the second moment on, without further ado.
LEAF = {True: {"kind": "time", "every_rows": 1}, False: {"kind": "time", "every_rows": 1000}}
Tree = bool | tuple[str, list[Any]]
TREES = st.recursive(
    st.booleans(), lambda parts: st.tuples(st.sampled_from(["any", "all"]), st.lists(parts, min_size=1, max_size=4)),
    max_leaves=12,
)  # fmt: skip


def configured(tree: Tree) -> dict[str, Any]:
    """Return the trigger of a tree of truths."""
    if isinstance(tree, bool):
        return LEAF[tree]
    return {"kind": tree[0], "of": [configured(part) for part in tree[1]]}


def truth(tree: Tree) -> bool:
    """Return what the tree says."""
    if isinstance(tree, bool):
        return tree
    return (any if tree[0] == "any" else all)(truth(part) for part in tree[1])


def depth(tree: Tree) -> int:
    """Return how deep the tree is."""
    return 1 if isinstance(tree, bool) else 1 + max(map(depth, tree[1]))


@given(TREES.filter(lambda tree: depth(tree) <= 8))
def test_composition_is_boolean(tree: Tree) -> None:
    scheduler = Scheduler(policy(configured(tree)))
    assert scheduler.update(Moment(rows=0, labelled=0, time_s=0.0)) is None
    assert (scheduler.update(Moment(rows=1, labelled=0, time_s=1.0)) is not None) == truth(tree)


def test_the_cause_names_the_parts_that_are_due() -> None:
    parts = [{"kind": "time", "every_s": 10}, {"kind": "volume", "labelled": 10}, {"kind": "volume", "labelled": 11}]
    firing = run(Scheduler(policy({"kind": "any", "of": parts})), ticks(20))[0]
    assert firing.trigger == "any(time, volume)"
    assert set(firing.cause) == {"time", "volume"}
    firing = run(Scheduler(policy({"kind": "all", "of": parts})), ticks(20))[0]
    assert (firing.trigger, firing.rows) == ("all(time, volume, volume #2)", 11)


def test_a_drift_waits_for_the_other_part_of_all() -> None:
    drift = {"kind": "drift", "detector": "dummy"}
    both = policy({"kind": "all", "of": [drift, {"kind": "volume", "labelled": 10_500}]})
    assert at(run(Scheduler(both), ticks(12_000, drift=0.0))) == [10_500]


def test_cool_down_delays_and_does_not_lose() -> None:
    scheduler = Scheduler(policy({"kind": "volume", "labelled": 10}, cool_down_s=25))
    assert at(run(scheduler, ticks(80))) == [10, 35, 60]
    rows = Scheduler(policy({"kind": "volume", "labelled": 10}, cool_down_rows=30))
    assert at(run(rows, ticks(80))) == [10, 40, 70]


def test_quiet_hours_go_over_midnight() -> None:
    scheduler = Scheduler(policy({"kind": "time", "every_s": 3600}, quiet_hours=[[22, 6], [12, 13]]))
    moments = ticks(48, seconds=3600.0, local_hour=[float(hour % 24) for hour in range(48)])
    day = [6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21]
    assert [hour % 24 for hour in at(run(scheduler, moments))] == day + day
    assert scheduler.held is not None
    assert (scheduler.held.reason, scheduler.held.detail) == ("quiet_hours", {"local_hour": 23.0})


def test_without_a_known_hour_no_hour_is_quiet() -> None:
    assert at(run(Scheduler(policy({"kind": "time", "every_rows": 5}, quiet_hours=[[0, 24]])), ticks(12))) == [5, 10]


def test_cpu_budget_of_any_hour() -> None:
    """Each update takes 20 CPU seconds; 40 an hour are allowed, so two firings an hour and never three."""
    scheduler = Scheduler(policy({"kind": "time", "every_s": 600}, cpu_s_per_hour=40))
    used = 0.0
    firings: list[int] = []
    for minute in range(240):
        firing = scheduler.update(Moment(rows=minute, labelled=0, time_s=minute * 60.0, cpu_s=used))
        if firing:
            firings.append(minute)
            used += 20.0
    assert firings == [10, 20, 72, 82, 134, 144, 196, 206]


def test_a_new_meter_counts_from_nought_and_memory_is_bounded() -> None:
    scheduler = Scheduler(policy({"kind": "time", "every_s": 1}, cpu_s_per_hour=5))
    first = Moment(rows=0, labelled=0, time_s=0.0, cpu_s=100.0)  # used before this stream began
    assert scheduler.update(first) is None
    assert scheduler.update(Moment(rows=1, labelled=0, time_s=1.0, cpu_s=104.0)) is not None
    assert scheduler.update(Moment(rows=2, labelled=0, time_s=2.0, cpu_s=2.0)) is None
    assert scheduler.held is not None
    assert scheduler.held.detail == {"cpu_s": 6.0, "budget_s": 5.0}
    for i in range(3, 20_000):
        scheduler.update(Moment(rows=i, labelled=0, time_s=float(i), cpu_s=float(i)))
    assert len(scheduler._state.spent) <= 62


def back_off(**others: Any) -> Scheduler:
    """Return a scheduler that would fire every 10 rows."""
    return Scheduler(policy({"kind": "time", "every_rows": 10}, back_off={"every_rows": 10, **others}))


def fire_and_report(scheduler: Scheduler, rows: int, gains: list[float]) -> list[int]:
    """Return the rows of firings; each is followed by the next gain, the last of them for good."""
    found: list[int] = []
    for moment in ticks(rows):
        if scheduler.update(moment):
            scheduler.report(gains[min(len(found), len(gains) - 1)])
            found.append(moment.rows)
    return found


def test_what_brings_nothing_is_done_half_as_often_each_time() -> None:
    assert fire_and_report(back_off(), 400, [0.0]) == [10, 30, 70, 150, 310]


def test_a_gain_ends_the_waiting() -> None:
    assert fire_and_report(back_off(), 120, [0.0, 0.0, 0.5, 0.5]) == [10, 30, 70, 80, 90, 100, 110]


def test_back_off_has_patience_a_least_gain_and_an_end() -> None:
    assert fire_and_report(back_off(patience=3), 120, [0.0]) == [10, 20, 30, 50, 90]
    assert fire_and_report(back_off(min_gain=0.1), 80, [0.1]) == [10, 30, 70]
    assert fire_and_report(back_off(most_doublings=1), 100, [-1.0]) == [10, 30, 50, 70, 90]


def test_a_drift_ends_the_waiting() -> None:
    parts = [{"kind": "time", "every_rows": 10}, {"kind": "drift", "detector": "dummy"}]
    for ends in (True, False):
        settings = {"every_rows": 10_000, "drift_ends": ends}
        scheduler = Scheduler(policy({"kind": "any", "of": parts}, back_off=settings))
        found: list[int] = []
        for moment in ticks(10_005, drift=0.0):
            if scheduler.update(moment):
                scheduler.report(0.0)
                found.append(moment.rows)
        assert found == ([10, 9999] if ends else [10])
        assert scheduler.held is None or scheduler.held.reason == "back_off"


EVERYTHING = {
    "trigger": {
        "kind": "any",
        "of": [
            {"kind": "time", "every_s": 700},
            {"kind": "drift", "detector": "page-hinkley", "on": "loss", "rises_only": True},
            {"kind": "drift", "detector": "features"},
            {
                "kind": "all",
                "of": [
                    {"kind": "performance", "margin": 0.05, "window": 50},
                    {"kind": "volume", "labelled": 20, "percent": 5},
                ],
            },
        ],
    },
    "cool_down_s": 500,
    "quiet_hours": [[1, 1.25]],
    "cpu_s_per_hour": 12,
    "back_off": {"every_s": 600},
}


def busy_stream() -> list[Moment]:
    """Return a stream on which everything happens."""
    rng = np.random.default_rng(5)
    moments = []
    for i in range(4000):
        loss = float(rng.random() < (0.1 if i // 1000 % 2 == 0 else 0.5)) if rng.random() < 0.7 else None
        x = (float(rng.standard_normal()), float(rng.standard_normal() + (i > 3000)))
        hour = i * 2 / 3600 % 24
        moments.append(
            Moment(rows=i, labelled=i // 2, time_s=2.0 * i, local_hour=hour, loss=loss, drift=x, cpu_s=5.0 * (i // 500))
        )
    return moments


BUSY = busy_stream()


def watch(scheduler: Scheduler, moments: list[Moment]) -> list[Any]:
    """Return everything the scheduler answers, reporting a gain that depends on the row."""
    out = []
    for moment in moments:
        if firing := scheduler.update(moment):
            scheduler.report(0.1 if moment.rows % 2 else -0.1)
        out.append((firing, scheduler.held))
    return out


@settings(max_examples=8)
@given(st.integers(0, len(BUSY)))
def test_what_is_resumed_goes_on_the_same(cut: int) -> None:
    whole = Scheduler(Policy.from_dict(EVERYTHING))
    watch(whole, BUSY[:cut])
    resumed = Scheduler(Policy.from_dict(EVERYTHING), whole.to_bytes())
    assert resumed.to_bytes() == whole.to_bytes()
    assert repr(watch(resumed, BUSY[cut:])) == repr(watch(whole, BUSY[cut:]))
    assert resumed.to_bytes() == whole.to_bytes()


def test_the_busy_stream_is_busy() -> None:
    answers = watch(Scheduler(Policy.from_dict(EVERYTHING)), BUSY)
    assert {held.reason for _, held in answers if held} == {"back_off", "cool_down", "quiet_hours", "cpu"}
    assert len({firing.trigger for firing, _ in answers if firing}) > 1


def test_another_cadence_is_another_configuration_and_the_same_state() -> None:
    scheduler = Scheduler(policy({"kind": "time", "every_s": 3600}))
    run(scheduler, ticks(100))
    daily = Scheduler(policy({"kind": "time", "every_s": 150}), scheduler.to_bytes())
    assert at(run(daily, ticks(200)[100:])) == [150]
    drift = {"kind": "drift", "detector": "adwin"}
    other = Scheduler(policy({"kind": "any", "of": [drift]}), daily.to_bytes())
    run(other, ticks(50, drift=0.5)[1:])
    changed = Scheduler(policy({"kind": "any", "of": [{**drift, "detector": "dummy"}]}), other.to_bytes())
    assert changed._state.watches["trigger.of[0]"].detector == "dummy"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({}, "trigger"),
        ({"trigger": {"kind": "moon"}}, "trigger.kind"),
        ({"trigger": {"every_s": 3}}, "trigger.kind"),
        ({"trigger": {"kind": "time"}}, "trigger"),
        ({"trigger": {"kind": "time", "every_s": -3}}, "trigger.every_s"),
        ({"trigger": {"kind": "time", "every_s": float("inf")}}, "trigger.every_s"),
        ({"trigger": {"kind": "time", "every_rows": "many"}}, "trigger.every_rows"),
        ({"trigger": {"kind": "time", "every": 3}}, "trigger.every"),
        ({"trigger": {"kind": "volume", "percent": float("nan")}}, "trigger.percent"),
        ({"trigger": {"kind": "performance"}}, "trigger.margin"),
        ({"trigger": {"kind": "performance", "margin": 0.1, "window": 0}}, "trigger.window"),
        ({"trigger": {"kind": "drift", "detector": "nose"}}, "trigger.detector"),
        ({"trigger": {"kind": "drift", "detector": "features", "rises_only": True}}, "trigger.rises_only"),
        ({"trigger": {"kind": "any", "of": []}}, "trigger.of"),
        ({"trigger": {"kind": "all", "of": [{"kind": "time", "every_s": -1}]}}, "trigger.of[0].every_s"),
        ({"trigger": LEAF[True], "quiet_hours": [[3, 25]]}, "quiet_hours[0]"),
        ({"trigger": LEAF[True], "cool_down_s": -1}, "cool_down_s"),
        ({"trigger": LEAF[True], "back_off": {}}, "back_off"),
        ({"trigger": LEAF[True], "back_off": {"every_s": 1, "patience": 0}}, "back_off.patience"),
        ({"trigger": LEAF[True], "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_configuration_names_field_and_remedy(raw: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as caught:
        Policy.from_dict(raw)
    assert caught.value.field == field
    assert caught.value.remedy


def test_too_deep_or_no_toml_is_refused() -> None:
    trigger: dict[str, Any] = LEAF[True]
    for _ in range(5000):
        trigger = {"kind": "any", "of": [trigger]}
    with pytest.raises(UsageError):
        policy(trigger)
    with pytest.raises(UsageError, match="not TOML"):
        Policy.from_toml("trigger = ")


@pytest.mark.parametrize("fields", [{"time_s": float("nan")}, {"loss": float("inf")}, {"local_hour": 24.0}])
def test_a_moment_that_cannot_be_is_refused_and_changes_nothing(fields: dict[str, float]) -> None:
    scheduler = Scheduler(policy({"kind": "performance", "margin": 0.1}))
    before = scheduler.to_bytes()
    with pytest.raises(InputError):
        scheduler.update(Moment(**{"rows": 1, "labelled": 1, "time_s": 0.0, **fields}))  # type: ignore[arg-type]
    with pytest.raises(InputError):
        scheduler.report(float("nan"))
    assert scheduler.to_bytes() == before


def test_a_damaged_state_is_refused() -> None:
    start = policy({"kind": "time", "every_s": 1})
    for data in (b"", b"\x80", Scheduler(start).to_bytes()[:-1]):
        with pytest.raises(CorruptStateError):
            Scheduler(start, data)
