"""One self-contained HTML page that shows a replay: who was right, when, and who was listened to.

No script and nothing from elsewhere: the page can be mailed, printed and opened in ten years. It begins with one
sentence that says whether learning was worth it; charts, tables, cost and an explanation of the words follow. Every
text from the data is escaped, every number may be missing.

Example:
    >>> page = render({"file": "a.csv", "label": "y", "task": "classification", "rows_scored": 0})
    >>> "No row was scored" in page
    True
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acclimate_device import report_words as words
from acclimate_device.outputs import strict, write_text
from acclimate_device.report_contest import contest_section
from acclimate_device.report_page import card, cell, colour, known, number, page, percentage, section, table, text
from acclimate_device.report_svg import Mark, Series, score_chart, share_chart
from acclimate_device.report_when import when_section

Result = Mapping[str, Any]
_Entry = tuple[str, str, str, float | None, str, float | None]

MOST_REJECTS = 100
MOST_EVENTS = 12


def write_report(result: Result, path: Path) -> None:
    """Write the page of a replay's result, whole or not at all.

    Raises:
        UsageError: the place cannot be written.
    """
    write_text(Path(path), render(result))


def render(result: Result) -> str:
    """Return the page of a replay's result (the JSON of ``acclimate replay``) as HTML text."""
    result = strict(result)
    parts = (
        _headline(result), _cards(result), _scores(result), _weights(result), _table(result),
        contest_section(result, _ids(result)), when_section(result),
        _rows(result), _configuration(result), _reading(result),
    )  # fmt: skip
    return page(f"Acclimate: {result.get('file', 'replay')}", parts)


def _regression(result: Result) -> bool:
    return result.get("task") == "regression"


def _metric(result: Result) -> str:
    return "mae" if _regression(result) else "accuracy"


def _score(result: Result, scores: Mapping[str, Any] | None) -> float | None:
    return known((scores or {}).get(_metric(result)))


def _repeating(result: Result) -> float | None:
    """Return the score of the baseline that repeats the last label."""
    name = "last" if _regression(result) else "no_change"
    return _score(result, (result.get("baselines") or {}).get(name))


def _show(result: Result, value: object) -> str:
    error = known(value)
    if not _regression(result):
        return percentage(value, 2)
    return f"{error:#.4g}" if error is not None and 1e-3 <= abs(error) < 1e3 else number(error)  # noqa: PLR2004


def _listed(result: Result, name: str) -> Sequence[Mapping[str, Any]]:
    return [item for item in result.get(name) or () if isinstance(item, Mapping)]


def _headline(result: Result) -> str:
    served = _score(result, result.get("served"))
    said = words.headline(known(result.get("rows_scored")), served, _repeating(result), regression=_regression(result))
    about = f"Replay of {text(result.get('file'))}, predicting <b>{text(result.get('label'))}</b>"
    better = words.comparison(served, _repeating(result), regression=_regression(result))
    return f'<header><p class="soft">{about}</p><h1>{text(said)}</h1><p class="lead">{text(better)}</p></header>'


def _cards(result: Result) -> str:
    served = result.get("served") or {}
    parts = []
    for name, value in served.items():
        title, hint, is_share = words.SCORES.get(name, (str(name).replace("_", " "), "", False))
        parts.append(card(title, percentage(value, 2) if is_share else number(value), hint))
    speed, state = known(result.get("throughput_events_per_s")), known(result.get("state_bytes"))
    parts.append(card("Speed", number(speed, 0), "events a second, predicted and learned"))
    if state is not None:
        size = f"{state / 1024:,.0f} KiB" if state < 2**20 else f"{state / 2**20:,.1f} MiB"
        parts.append(card("State", size, "everything that was learned"))
    return f'<div class="cards">{"".join(parts)}</div>'


def _ids(result: Result) -> list[str]:
    return [str(candidate.get("id")) for candidate in _listed(result, "candidates")]


def _windows(result: Result) -> tuple[list[Mapping[str, Any]], list[tuple[int, int]]]:
    """Return the windows whose rows are known, and these rows."""
    ends = [(w, known(w.get("first_row")), known(w.get("last_row"))) for w in _listed(result, "windows")]
    usable = [(w, (int(a), int(b))) for w, a, b in ends if a is not None and b is not None]
    return [w for w, _ in usable], [span for _, span in usable]


def _over(windows: Sequence[Mapping[str, Any]], part: str, name: str) -> list[float | None]:
    return [known((window.get(part) or {}).get(name)) for window in windows]


def _scores(result: Result) -> str:
    windows, spans = _windows(result)
    percent = not _regression(result)
    served = [known(window.get("served")) for window in windows]
    lines = [Series(name="served", kind="served", values=served, colour="var(--served)")]
    for i, name in enumerate(result.get("baselines") or ()):
        label, values = words.BASELINES.get(name, str(name)), _over(windows, "baselines", name)
        dash = "1.5 4.5" if i else "6 5"
        lines.append(Series(name=label, kind="baseline", values=values, colour="var(--base)", dash=dash))
    for i, name in enumerate(_ids(result)):
        lines.append(Series(name=name, kind="candidate", values=_over(windows, "candidates", name), colour=colour(i)))
    title = "Right answers over time" if percent else "Mean absolute error over time (lower is better)"
    said = "Bold is what served. Dashed are the baselines, thin lines the candidates. "
    said += "Higher is better." if percent else "Lower is better; a line that leaves the top was further off."
    marks, events = _events(result)
    return section(
        title, f'<p class="soft">{said}</p>', score_chart(title, spans, lines, marks, percent=percent), events
    )


def _events(result: Result) -> tuple[list[Mark], str]:
    """Return the marks of promotions, rollbacks and drifts, and what happened in words."""
    marks, said = [], ""
    for event, kind, name in (("promote", "promotion", "▼ Promotions"), ("rollback", "rollback", "▲ Rollbacks")):
        found = [item for item in _listed(result, "promotions") if item.get("event", "promote") == event]
        parts = []
        for item in found:
            row = known(item.get("row"))
            if row is not None:
                who = item.get("candidate") or ""
                marks.append(Mark(row=row, kind=kind, title=f"row {row:,.0f}: {kind} {who}".strip()))
                parts.append(f"row {row:,.0f} {who}".strip())
        said += _listed_words(name, parts)
    drifts = [row for item in _listed(result, "drift") if (row := known(item.get("row"))) is not None]
    marks += [Mark(row=row, kind="drift", title=f"row {row:,.0f}: drift") for row in drifts]
    return marks, said + _listed_words("◇ Drift detected at row", [f"{row:,.0f}" for row in drifts])


def _listed_words(name: str, parts: Sequence[str]) -> str:
    if not parts:
        return ""
    more = f" and {len(parts) - MOST_EVENTS:,} more" if len(parts) > MOST_EVENTS else ""
    return f'<p class="soft">{name}: {text("; ".join(parts[:MOST_EVENTS]))}{more}.</p>'


def _weights(result: Result) -> str:
    windows, spans = _windows(result)
    areas = [
        Series(name=name, kind="share", values=_over(windows, "weights", name), colour=colour(i))
        for i, name in enumerate(_ids(result))
    ]
    said = '<p class="soft">Weight of each member of the committee in the answer. Thicker was trusted more.</p>'
    return section("Who was listened to", said, share_chart("Who was listened to", spans, areas))


def _entries(result: Result) -> list[_Entry]:
    """Return (row class, name, what it is, score, colour, last weight) of everyone, best first, unknown last."""
    windows, _ = _windows(result)
    last = (windows[-1].get("weights") or {}) if windows else {}
    entries: list[_Entry] = [("us", "served", "committee", _score(result, result.get("served")), "var(--served)", None)]
    entries += [
        ("", str(c.get("id")), _kind(c), _score(result, c), colour(i), known(last.get(c.get("id"))))
        for i, c in enumerate(_listed(result, "candidates"))
    ]
    entries += [
        ("base", words.BASELINES.get(name, str(name)), "baseline", _score(result, score), "var(--base)", None)
        for name, score in (result.get("baselines") or {}).items()
    ]
    sign = 1.0 if _regression(result) else -1.0
    return sorted(entries, key=lambda entry: (entry[3] is None, sign * (entry[3] or 0.0)))


def _kind(candidate: Mapping[str, Any]) -> str:
    status = candidate.get("status")
    return f"{candidate.get('learner')}{f', {status}' if status not in {None, 'member'} else ''}"


def _table(result: Result) -> str:
    regression, reference = _regression(result), _repeating(result)
    entries = _entries(result)
    top = max((entry[3] for entry in entries if entry[3] is not None), default=0.0) or 1.0
    rows = []
    for kind, name, what, score, tone, weight in entries:
        apart = words.apart(score, reference, regression=regression)
        width = 0.0 if score is None else max(0.0, 100 * min(score / top, 1.0))
        rows.append(
            f'<tr class="{kind}"><td class="who"><i class="dot" style="background:{tone}"></i>{text(name)}</td>'
            f"{cell(what, 'what')}{cell(_show(result, score), 'n')}{cell(apart, 'n')}{cell(percentage(weight), 'n')}"
            f'<td class="bars"><i class="bar" style="width:{width:.1f}%;background:{tone}"></i></td></tr>'
        )
    columns = (
        ("who", ""), ("learner", "what"), ("mean absolute error" if regression else "right", "n"),
        ("beside repeating", "n"), ("last weight", "n"), ("shorter is better" if regression else "", ""),
    )  # fmt: skip
    said = f'<p class="soft">Over all scored rows, best first. {"Lower is better." if regression else ""}</p>'
    return section("Everyone’s score", said, table(columns, rows), flows=True)


def _rows(result: Result) -> str:
    read, rejected = number(result.get("rows_read"), 0), known(result.get("rows_rejected"))
    notes = "".join(f'<p class="note">Note: {text(note)}</p>' for note in result.get("warnings") or ())
    rejects = _listed(result, "rejects")
    if not rejected and not rejects:
        return section("Rows", f"<p>All {read} rows could be used.</p>", notes)
    said = f"<p>{number(rejected, 0)} of {read} rows were not used, and nothing was learned from them.</p>"
    shown = rejects[:MOST_REJECTS]
    lines = (
        f"<tr>{cell(number(r.get('row'), 0), 'n')}{cell(r.get('reason'), 'why')}{cell(r.get('remedy'), 'why')}</tr>"
        for r in shown
    )
    grid = table((("row", "n"), ("reason", ""), ("what to do", "")), lines) if shown else ""
    left = int(rejected or 0) - len(shown)
    more = f'<p class="soft">The first {len(shown):,}; {left:,} more were refused.</p>' if shown and left > 0 else ""
    return section("Rows that were not used", said, notes, grid, more, flows=True)


def _configuration(result: Result) -> str:
    facts = [(words.OPTIONS.get(name, str(name)), words.option(v)) for name, v in (result.get("options") or {}).items()]
    if result.get("classes"):
        facts.append(("Classes", words.option(result["classes"])))
    facts += [
        (name, f"{number(result.get(key), places)}{unit}") for key, name, places, unit in words.COSTS if key in result
    ]
    inner = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
    return section("Configuration and cost", f'<dl class="facts">{inner}</dl>')


def _reading(result: Result) -> str:
    inner = "".join(f"<div><dt>{text(name)}</dt><dd>{text(said)}</dd></div>" for name, said in words.reading(result))
    return section("How to read this", f'<dl class="reading">{inner}</dl>')
