# ruff: noqa: E501 (markup reads better unbroken)
"""One self-contained HTML page that shows a replay: who was right, when, and who was listened to.

No script and nothing from elsewhere: the page can be mailed, printed and opened in ten years. Every text from the
data is escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from acclimate_device.outputs import write_text
from acclimate_device.report_svg import COLOURS, Line, line_chart, share_chart

STYLE = """
:root{--ink:#1c2328;--soft:#5d6b75;--line:#d9dfe3;--paper:#fff;--card:#f4f6f7;--served:#111}
@media(prefers-color-scheme:dark){:root{--ink:#e7ecef;--soft:#9fb0ba;--line:#33414a;--paper:#14191d;--card:#1d252b;--served:#fff}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:60rem;margin:auto;padding:2rem 1rem 4rem}h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0 .6rem}
h2{font-size:1.15rem;margin:2.4rem 0 .4rem}p{margin:.4rem 0}.soft{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.7rem;margin:1.2rem 0}
.card{background:var(--card);border-radius:.6rem;padding:.7rem .9rem}.card b{display:block;font-size:1.35rem}
svg{width:100%;height:auto;display:block;margin:.5rem 0}.grid{stroke:var(--line);stroke-width:1}
.tick,.key{fill:var(--soft);font-size:11px}.key{font-size:12px}.served,.candidate,.baseline{fill:none;stroke-linejoin:round}
.served{stroke-width:3}.candidate{stroke-width:1.2;opacity:.85}.baseline{stroke-width:1.6;stroke-dasharray:5 4}
.mark{stroke:var(--soft);stroke-dasharray:2 3}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.bar{background:var(--card);height:.7rem;border-radius:.35rem}
.bar i{display:block;height:100%;border-radius:.35rem}dt{font-weight:600;margin-top:.6rem}dd{margin:0}
"""

READING = (
    ("Test, then train", "Every row was predicted before its label was learned from. No score here is about rows seen before."),
    ("Late labels", "With a delay of d rows, the prediction of a row knew the labels up to d + 1 rows earlier and nothing else."),
    ("Baselines", "Neighbouring rows are often alike. Repeating the last label that had arrived is the score to beat."),
    ("kappa", "How far above chance the answers were: 0 is chance, 1 is perfect."),
    ("kappa-temporal", "The same against repeating the last label: below 0, repeating it would have been better."),
    ("Who was listened to", "The committee weighs its members by what they answered when the event came, once its label is known."),
)  # fmt: skip


def write_report(result: Mapping[str, Any], path: Path) -> None:
    """Write the page of a replay's result, whole or not at all.

    Raises:
        UsageError: the place cannot be written.
    """
    write_text(path, render(result))


def render(result: Mapping[str, Any]) -> str:
    """Return the page of a replay's result (the JSON of ``acclimate replay``) as HTML text."""
    name = escape(str(result["file"]))
    parts = [
        _headline(result), _cards(result), _score_section(result), _weight_section(result), _table(result),
        _rejects(result), _configuration(result), _reading(),
    ]  # fmt: skip
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Acclimate: {name}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body><main>{"".join(parts)}</main></body></html>\n'


def _regression(result: Mapping[str, Any]) -> bool:
    return bool(result["task"] == "regression")


def _metric(result: Mapping[str, Any]) -> str:
    return "mae" if _regression(result) else "accuracy"


def _shown(value: float | None, *, percent: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if percent else f"{value:,.4g}"


def _headline(result: Mapping[str, Any]) -> str:
    metric, percent = _metric(result), not _regression(result)
    served = _shown(result["served"][metric], percent=percent)
    first = next(iter(result["baselines"].values()))
    other = _shown(first[metric], percent=percent)
    said = (
        f"{served} were right; repeating the last known label would have scored {other}."
        if percent
        else f"They were off by {served} on average; repeating the last known value, by {other}. Lower is better."
    )
    return (
        f'<p class="soft">Acclimate replay of {escape(str(result["file"]))}, predicting <b>{escape(str(result["label"]))}</b></p>'
        f"<h1>{result['rows_scored']:,} rows predicted before their labels were known. {said}</h1>"
    )


def _cards(result: Mapping[str, Any]) -> str:
    percent = not _regression(result)
    shares = {"accuracy", "accuracy_all_rows", "balanced_accuracy"}
    cards = [
        (name.replace("_", " "), _shown(v, percent=percent and name in shares)) for name, v in result["served"].items()
    ]
    speed = result.get("throughput_events_per_s")
    cards.append(("events a second", "–" if speed is None else f"{speed:,.0f}"))
    cards.append(("state", f"{result['state_bytes'] / 1024:,.0f} KiB"))
    inner = "".join(f'<div class="card"><b>{value}</b>{escape(name)}</div>' for name, value in cards)
    return f'<div class="cards">{inner}</div>'


def _colours(result: Mapping[str, Any]) -> dict[str, str]:
    return {c["id"]: COLOURS[i % len(COLOURS)] for i, c in enumerate(result["candidates"])}


def _score_section(result: Mapping[str, Any]) -> str:
    windows, colours, percent = result["windows"], _colours(result), not _regression(result)
    rows = [window["last_row"] for window in windows]
    lines = [Line(name="served", kind="served", values=[w["served"] for w in windows], colour="var(--served)")]
    for name in windows[0]["baselines"] if windows else ():
        values = [w["baselines"][name] for w in windows]
        lines.append(Line(name=name.replace("_", " "), kind="baseline", values=values, colour="var(--soft)"))
    lines += [
        Line(name=name, kind="candidate", values=[w["candidates"][name] for w in windows], colour=colour)
        for name, colour in colours.items()
    ]
    marks = {int(p["row"]): "promoted" for p in result.get("promotions", [])}
    marks |= {int(d["row"]): "drift" for d in result.get("drifts", [])}
    title = "Share of right answers per window" if percent else "Mean absolute error per window (lower is better)"
    width = f" of about {rows[0]:,} rows" if rows else ""
    chart = line_chart(title, rows, lines, percent=percent, marks=marks)
    return f'<h2>{title}{width}</h2><p class="soft">Thick: what served. Dashed: baselines. Thin: the candidates.</p>{chart}'


def _weight_section(result: Mapping[str, Any]) -> str:
    windows, colours = result["windows"], _colours(result)
    shares = {name: [w["weights"][name] for w in windows] for name in colours} if len(colours) > 1 else {}
    chart = share_chart("Weights of the members", [w["last_row"] for w in windows], shares, colours)
    return f'<h2>Who was listened to</h2><p class="soft">Weights of the committee over the rows.</p>{chart}'


def _table(result: Mapping[str, Any]) -> str:
    metric, percent, colours = _metric(result), not _regression(result), _colours(result)
    entries = [("served", "", result["served"][metric], "var(--served)")]
    entries += [(c["id"], c["learner"], c[metric], colours[c["id"]]) for c in result["candidates"]]
    entries += [(n.replace("_", " "), "baseline", s[metric], "var(--soft)") for n, s in result["baselines"].items()]
    top = max((v for _, _, v, _ in entries if v is not None), default=1.0) or 1.0
    known = [e for e in entries if e[2] is not None]
    known.sort(key=lambda e: e[2], reverse=percent)
    rows = "".join(
        f'<tr><td>{escape(str(name))}</td><td class="soft">{escape(str(kind))}</td><td class="n">{_shown(value, percent=percent)}</td>'
        f'<td style="width:40%"><div class="bar"><i style="width:{100 * value / top:.1f}%;background:{colour}"></i></div></td></tr>'
        for name, kind, value, colour in known
    )
    head = f'<tr><th>who</th><th>learner</th><th class="n">{metric}</th><th></th></tr>'
    return f'<h2>Everyone\'s score</h2><div class="wide"><table>{head}{rows}</table></div>'


def _rejects(result: Mapping[str, Any]) -> str:
    notes = "".join(f"<p>Note: {escape(str(text))}.</p>" for text in result.get("warnings", []))
    if not result["rows_rejected"]:
        return f"<h2>Rows</h2><p>All {result['rows_read']:,} rows could be used.</p>{notes}"
    rows = "".join(
        f'<tr><td class="n">{r["row"]}</td><td>{escape(str(r["reason"]))}</td><td>{escape(str(r["remedy"]))}</td></tr>'
        for r in result["rejects"]
    )
    said = f"{result['rows_rejected']:,} of {result['rows_read']:,} rows were not used; nothing was learned from them."
    table = f'<table><tr><th class="n">row</th><th>reason</th><th>what to do</th></tr>{rows}</table>'
    return f'<h2>Rows</h2><p>{said}</p>{notes}<div class="wide">{table}</div>'


def _configuration(result: Mapping[str, Any]) -> str:
    facts: Sequence[tuple[str, Any]] = [
        *result["options"].items(),
        *((name, result.get(name)) for name in ("wall_s", "cpu_s", "peak_rss_mib", "commits")),
    ]
    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(f'{v:.1f}' if isinstance(v, float) else str(v))}</td></tr>"
        for name, v in facts
    )
    return f'<h2>Configuration and cost</h2><div class="wide"><table>{rows}</table></div>'


def _reading() -> str:
    return "<h2>How to read this</h2><dl>" + "".join(f"<dt>{t}</dt><dd>{d}</dd>" for t, d in READING) + "</dl>"
