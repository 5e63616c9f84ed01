# ruff: noqa: E501 (markup reads better unbroken)
"""Charts as SVG text: lines over rows, and shares as stacked areas. Plain markup, no script, colours from the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 920, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 170, 14, 34

#: Okabe and Ito's palette, told apart with any colour vision, and further tones after it.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c8c00", "#a6761d", "#5f9ea0", "#b03060",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve: its points, and how it looks (``kind``: served, candidate or baseline)."""

    name: str
    kind: str
    values: Sequence[float | None]
    colour: str


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    first: float
    last: float

    def x(self, row: float) -> float:
        span = max(self.last - self.first, 1.0)
        return LEFT + (WIDTH - LEFT - RIGHT) * (row - self.first) / span

    def y(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        inside = min(max(value, self.low), self.high)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (inside - self.low) / span


def line_chart(
    title: str, rows: Sequence[int], lines: Sequence[Line], *, percent: bool, marks: Mapping[int, str]
) -> str:
    """Return a chart of scores over rows.

    Args:
        title: for people who cannot see it.
        rows: last row of each window.
        lines: curves over these windows.
        percent: whether the scale is a share, 0 to 1.
        marks: row to the name of what happened there.
    """
    values = [v for line in lines for v in line.values if v is not None]
    if not rows or not values:
        return "<p>No scored rows yet.</p>"
    scale = _range(values, rows, percent=percent)
    parts = [_grid(scale, percent=percent)]
    for row, text in marks.items():
        x = scale.x(row)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="tick" x="{x + 3:.1f}" y="{TOP + 10}">{escape(text)}</text>')
    order = {"candidate": 0, "baseline": 1, "served": 2}
    parts += [_curve(line, rows, scale) for line in sorted(lines, key=lambda item: order[item.kind])]
    parts.append(_legend(lines))
    return _svg(title, parts)


def share_chart(
    title: str, rows: Sequence[int], shares: Mapping[str, Sequence[float]], colours: Mapping[str, str]
) -> str:
    """Return shares (0 to 1, summing to 1) as stacked areas over rows."""
    if not rows or not shares:
        return "<p>A single learner answered; there was nothing to weigh.</p>"
    scale = _Scale(0.0, 1.0, rows[0], rows[-1])
    base = [0.0] * len(rows)
    parts = []
    for name, values in shares.items():
        top = [b + v for b, v in zip(base, values, strict=True)]
        up = " ".join(f"{scale.x(r):.1f},{scale.y(v):.1f}" for r, v in zip(rows, top, strict=True))
        down = " ".join(
            f"{scale.x(r):.1f},{scale.y(v):.1f}" for r, v in zip(reversed(rows), reversed(base), strict=True)
        )
        parts.append(
            f'<polygon fill="{colours[name]}" fill-opacity=".8" points="{up} {down}"><title>{escape(name)}</title></polygon>'
        )
        base = top
    parts.append(_grid(scale, percent=True))
    parts.append(_legend([Line(name=n, kind="candidate", values=v, colour=colours[n]) for n, v in shares.items()]))
    return _svg(title, parts)


def _range(values: Sequence[float], rows: Sequence[int], *, percent: bool) -> _Scale:
    """Scale to the middle 98 % of the values, so that one bad start does not flatten the rest."""
    ordered = sorted(values)
    cut = len(ordered) // 100
    low, high = ordered[cut], ordered[-1 - cut]
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    low, high = low - pad, high + pad
    return _Scale(max(low, 0.0), min(high, 1.0) if percent else high, rows[0], rows[-1])


def _grid(scale: _Scale, *, percent: bool) -> str:
    parts = []
    for i in range(5):
        value = scale.low + (scale.high - scale.low) * i / 4
        y = scale.y(value)
        text = f"{100 * value:.0f} %" if percent else f"{value:.3g}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        row = scale.first + (scale.last - scale.first) * i / 4
        parts.append(
            f'<text class="tick" x="{scale.x(row):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{row:,.0f}</text>'
        )
    return "".join(parts)


def _curve(line: Line, rows: Sequence[int], scale: _Scale) -> str:
    points = [f"{scale.x(r):.1f},{scale.y(v):.1f}" for r, v in zip(rows, line.values, strict=True) if v is not None]
    title = f"<title>{escape(line.name)}</title>"
    return f'<polyline class="{line.kind}" style="stroke:{line.colour}" points="{" ".join(points)}">{title}</polyline>'


def _legend(lines: Sequence[Line]) -> str:
    parts = []
    x = WIDTH - RIGHT + 14
    for i, line in enumerate(lines):
        y = TOP + 10 + 18 * i
        parts.append(
            f'<line class="{line.kind}" style="stroke:{line.colour}" x1="{x}" x2="{x + 20}" y1="{y}" y2="{y}"/>'
        )
        parts.append(f'<text class="key" x="{x + 26}" y="{y + 4}">{escape(line.name[:22])}</text>')
    return "".join(parts)


def _svg(title: str, parts: Sequence[str]) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(title)}</title>{body}</svg>'
