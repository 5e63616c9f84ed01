"""The HTML page of a comparison: one file, drawings as SVG, nothing loaded from elsewhere."""

from collections.abc import Sequence

from acclimate_device.report_page import cell as plain_cell
from acclimate_device.report_page import colour, page, section, table, text
from acclimate_device.report_svg import Series, score_chart
from acclimate_tools.bench.peers.catalogue import FAMILIES, OURS
from acclimate_tools.bench.peers.columns import NONE, Column, cell, columns, size
from acclimate_tools.bench.peers.document import MARK, machine
from acclimate_tools.bench.peers.results import OURS_NAME, lead
from acclimate_tools.bench.peers.scatter import Point, scatter
from acclimate_tools.bench.peers.words import (
    Group,
    Result,
    Row,
    about,
    advantage,
    ours_of,
    place,
    rows_of,
    sentence,
    standings,
)

COLOURS = {name: colour(at) for at, name in enumerate(FAMILIES)}


def report(result: Result) -> str:
    """Return the page."""
    head = "<h1>Acclimate and what a user would pick instead</h1>"
    parts = [head, f'<p class="lead">{text(machine(result))}</p>', _standings(result), _families(result)]
    parts += [_group(result, group) for group in result["groups"]]
    lines = "".join(f"<p>{text(line)}</p>" for line in about(result))
    return page("Acclimate beside its peers", [*parts, section("How it was measured", lines)])


def _standings(result: Result) -> str:
    names = (("", "who"), ("better", "n"), ("within noise", "n"), ("worse", "n"), ("speed", "n"), ("memory", "n"))
    rows = []
    for one in standings(result):
        ratios = [NONE if value is None else f"× {value:.3g}" for value in (one.speed, one.memory)]
        cells = [plain_cell(one.title, "who"), *(plain_cell(n, "n") for n in (one.ahead, one.even, one.behind))]
        rows.append(f"<tr>{''.join(cells)}{''.join(plain_cell(value, 'n') for value in ratios)}</tr>")
    note = (
        f"In how many streams and delays a peer's accuracy, or mean absolute error, was better than that of "
        f"{OURS_NAME} on the same rows. Speed (events a second and core) and peak memory are multiples of Acclimate's."
    )
    return section("Over all streams", f'<p class="soft">{text(note)}</p>', table(names, rows))


def _families(result: Result) -> str:
    rows = []
    for name, family in result["families"].items():
        if family["absent"]:
            cells = [plain_cell(name, "who"), f'<td class="note" colspan="3">{text(family["absent"])}</td>']
        else:
            java = size(family["runtime_bytes"]) if family["runtime_bytes"] else NONE
            values = (family["version"] or NONE, size(family["install_bytes"]), java)
            cells = [_dot(name, name), *(plain_cell(value, "n") for value in values)]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    names = (("", "who"), ("version", "n"), ("packages", "n"), ("Java runtime", "n"))
    return section("Versions and installations", table(names, rows))


def _dot(family: str, name: str) -> str:
    return f'<td class="who"><i class="dot" style="background:{COLOURS[family]}"></i>{text(name)}</td>'


def _group(result: Result, group: Group) -> str:
    rows, wanted = rows_of(result, group), columns(group["task"])
    facts = f"{group['rows']:,} rows, {group['columns']} columns"
    facts += f", {group['classes']} classes" if group["classes"] else ""
    said = "".join(f"<p>{text(sentence(rows, column))}.</p>" for column in wanted)
    return section(
        place(group),
        f'<p class="soft">{text(facts)}</p>',
        _scatter(group, rows),
        _curves(group, rows),
        _table(group, rows, wanted),
        said,
        flows=True,
    )


def _scatter(group: Group, rows: Sequence[Row]) -> str:
    points = [
        Point(name=row["title"], speed=row["events_per_cpu_s"], lead=gain, colour=COLOURS[row["family"]])
        for row in rows
        if not row["failed"] and (gain := lead(row)) is not None
    ]
    ours = ours_of(rows)
    if ours is not None:
        speed = ours["events_per_cpu_s"]
        points.append(Point(name=OURS_NAME, speed=speed, lead=0.0, colour="var(--served)", served=True))
    what = "points of accuracy" if group["task"] == "classification" else "part of the error"
    note = f"Height: {what} better (above) or worse (below) than {OURS_NAME} on the same rows. Right: faster."
    return f'<p class="soft">{text(note)}</p>{scatter(f"Quality and speed on {place(group)}", points)}'


def _curves(group: Group, rows: Sequence[Row]) -> str:
    """Draw scores over rows: Acclimate, the best of each family, and the last label."""
    series = [
        Series(name="the last label", kind="baseline", values=group["baseline_curve"], colour="var(--base)", dash="5 4")
    ]
    for row in rows:
        if row.get("curve") is None:
            continue
        ours = row["peer"] == OURS_NAME
        look = "var(--served)" if ours else COLOURS[row["family"]]
        series.append(
            Series(name=row["title"], kind="served" if ours else "candidate", values=row["curve"], colour=look)
        )
    spans = [(first, last) for first, last in group["spans"]]
    what = "accuracy" if group["task"] == "classification" else "mean absolute error"
    note = f"Over the rows: {what} of {OURS_NAME}, of the best of each family, and of repeating the last label."
    drawn = score_chart(f"{what} over {place(group)}", spans, series, [], percent=group["task"] == "classification")
    return f'<p class="soft">{text(note)}</p>{drawn}'


def _table(group: Group, rows: Sequence[Row], wanted: Sequence[Column]) -> str:
    ours, main = ours_of(rows), wanted[0]
    names = (("", "who"), ("rows", "n"), *((c.title, "n") for c in wanted), ("Acclimate on these rows", "n"))
    body = []
    for row in rows:
        if row["failed"]:
            why = f'<td class="note" colspan="{len(names) - 1}">failed: {text(row["failed"])}</td>'
            body.append(f"<tr>{_dot(row['family'], row['title'])}{why}</tr>")
            continue
        name = row["title"] if row["complete"] else f"{row['title']} {MARK}"
        cells = [_dot(row["family"], name), plain_cell(f"{row['rows']:,}", "n")]
        cells += [_cell(row, ours, column) for column in wanted]
        same = row.get("compared")
        cells.append(plain_cell(main.show(same["ours"][main.key]) if same else "", "n"))
        kind = ' class="us"' if row["peer"] == OURS_NAME else ""
        body.append(f"<tr{kind}>{''.join(cells)}</tr>")
    for key, title in (("last", "the last label"), ("usual", "the usual label")):
        cells = [plain_cell(title, "who"), plain_cell(f"{group['rows']:,}", "n")]
        cells += [plain_cell(cell(group["baselines"][key], column), "n") for column in wanted]
        body.append(f'<tr class="base">{"".join(cells)}{plain_cell("", "n")}</tr>')
    return table(names, body)


def _cell(row: Row, ours: Row | None, column: Column) -> str:
    """Return a value, bold where a peer's is better than Acclimate's."""
    gain = advantage(row, ours, column) if ours is not None and row["family"] != OURS else None
    value = text(cell(row, column))
    return f'<td class="n">{f"<b>{value}</b>" if gain is not None and gain > 0 else value}</td>'
