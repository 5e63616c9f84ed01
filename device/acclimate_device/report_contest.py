"""The part of the page that shows the contest: who serves, what was tested, on which evidence, what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from acclimate_device.report_page import cell, colour, known, number, section, table, text
from acclimate_device.report_svg import Mark, Series, score_chart

MOST_TRANSITIONS = 50
HIGHEST = 1.5  # evidence beyond what it needs is not drawn further
WORDS = {
    "start": "test begins",
    "promote": "promoted",
    "reject": "rejected, parked",
    "equivalent": "no difference that matters, parked",
    "restart": "test begins again",
    "void": "evidence void",
    "gate": "asked a gate",
    "quarantined": "quarantined",
    "quality": "inputs",
    "rollback": "rolled back",
    "return": "serves again",
    "override": "decided without evidence",
}


def contest_section(result: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the section, or nothing if the result has no contest.

    Args:
        result: of a replay; anything in it may be missing or odd.
        names: ids of the candidates, in the order of their colours.
    """
    contest = result.get("contest")
    if not isinstance(contest, Mapping):
        return ""
    said = f'<p class="lead">{text(_sentence(contest))}</p>'
    return section("The contest", said, _chart(contest, names), _transitions(contest), flows=True)


def _sentence(contest: Mapping[str, Any]) -> str:
    log = [event.get("event") for event in _items(contest.get("transitions"))]
    started, alpha = number(contest.get("tests_started"), 0), known(contest.get("alpha"))
    share = (
        "" if alpha is None else f"; over the life of the model at most {100 * alpha:g} % of promotions may be false"
    )
    return (
        f"{contest.get('champion')} serves, version {contest.get('version')}, by the policy {contest.get('policy')}. "
        f"{started} tests were started, {log.count('promote')} ended in a promotion{share}. "
        f"{log.count('rollback')} rollbacks.{_leader(contest)}{_quarantined(contest)}"
    )


def _leader(contest: Mapping[str, Any]) -> str:
    """Return who of those in test leads now, and how far it is."""
    running = contest.get("running")
    shares = {name: _share(running, name) or 0.0 for name in running} if isinstance(running, Mapping) else {}
    if not shares:
        return " Nobody is being tested now."
    best = max(shares, key=lambda name: shares[name])
    said = f" {len(shares)} in test now"
    return (
        f"{said}; {best} leads with {100 * shares[best]:.0f} % of the evidence it needs."
        if shares[best]
        else f"{said}."
    )


def _quarantined(contest: Mapping[str, Any]) -> str:
    events = [event for event in _items(contest.get("transitions")) if event.get("event") == "quarantined"]
    names = sorted({str(event.get("candidate")) for event in events})
    return f" In quarantine: {', '.join(names)}." if names else ""


def _marks(contest: Mapping[str, Any]) -> list[Mark]:
    """Return promotions and rollbacks, for the chart of the evidence."""
    kinds = {"promote": "promotion", "override": "promotion", "rollback": "rollback"}
    return [
        Mark(row=row, kind=kinds[event["event"]], title=f"label {row:,.0f}: {event.get('candidate')}, {event['event']}")
        for event in _items(contest.get("transitions"))
        if event.get("event") in kinds and (row := known(event.get("row"))) is not None
    ]


def _chart(contest: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return evidence over its threshold, one line a tested candidate; 1 decides."""
    points = [p for p in _items(contest.get("standings")) if isinstance(p.get("tests"), Mapping)]
    labels = [known(point.get("label")) for point in points]
    if len(points) < 2 or any(label is None for label in labels):  # noqa: PLR2004 (a line has two ends)
        return "<p>No test ran for long enough to be drawn.</p>"
    rows = [int(label or 0) for label in labels]
    windows = [(a, max(a, b)) for a, b in zip(rows, [*rows[1:], rows[-1]], strict=True)]
    tested = sorted({str(name) for point in points for name in point["tests"]})
    lines = [Series(name="decision", kind="baseline", values=[1.0] * len(points), colour="var(--soft)")]
    for at, name in enumerate(tested):
        shade = colour(list(names).index(name) if name in names else at)
        lines.append(
            Series(name=name, kind="candidate", values=[_share(p["tests"], name) for p in points], colour=shade)
        )
    soft = (
        '<p class="soft">Evidence for a promotion, as a part of what it must reach: at 1 the challenger takes over.</p>'
    )
    return soft + score_chart("Evidence over labels", windows, lines, _marks(contest), percent=False)


def _share(tests: Mapping[str, Any], name: str) -> float | None:
    pair = tests.get(name)
    if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004 (evidence and threshold)
        return None
    log_e, threshold = known(pair[0]), known(pair[1])
    return min(max(log_e, 0.0) / threshold, HIGHEST) if log_e is not None and threshold else None


def _transitions(contest: Mapping[str, Any]) -> str:
    log = _items(contest.get("transitions"))
    shown = log[::-1][:MOST_TRANSITIONS]
    if not shown:
        return "<p>Nothing happened: no candidate promised enough to be tested.</p>"
    lines = (
        f"<tr>{cell(number(e.get('row'), 0), 'n')}{cell(e.get('candidate'))}"
        f"{cell(WORDS.get(str(e.get('event')), e.get('event')))}{cell(e.get('reason'), 'why')}{cell(_numbers(e))}</tr>"
        for e in shown
    )
    total = known(contest.get("transitions_total")) or len(log)
    more = f'<p class="soft">The last {len(shown):,} of {total:,.0f}.</p>' if total > len(shown) else ""
    columns = (("label", "n"), ("candidate", ""), ("what happened", ""), ("why", ""), ("numbers", ""))
    return table(columns, lines) + more


def _numbers(event: Mapping[str, Any]) -> str:
    numbers = event.get("numbers")
    if not isinstance(numbers, Mapping):
        return ""
    return ", ".join(f"{str(name).replace('_', ' ')} {number(value)}" for name, value in numbers.items())


def _items(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
