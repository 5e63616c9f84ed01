"""The page around a report: its style, and how text, numbers and tables are written into it.

Everything that comes from data goes through ``text``. Colours are variables, so that one drawing serves light, dark and
paper: Okabe and Ito's palette and three of Tol's, which stay apart with any colour vision.
"""

from collections.abc import Iterable, Sequence
from html import escape

COLOUR_COUNT = 10
ABSURD = 1e100  # no measurement; sums and squares of it would overflow

STYLE = """
:root{color-scheme:light dark;--ink:#1b2329;--soft:#5a6872;--line:#dde3e7;--paper:#fff;--card:#f5f7f8;--served:#12181c;
--base:#75828b;--warn:#9a4a00;--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#e69f00;--c5:#56b4e9;
--c6:#882255;--c7:#999933;--c8:#332288;--c9:#c4b200}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6ecef;--soft:#9fafb9;--line:#2e3a42;--paper:#12171a;
--card:#1a2126;--served:#fff;--base:#87959e;--warn:#f0a35e;--c0:#3b9ddd;--c1:#ee7733;--c2:#1fbf92;--c3:#de93bd;
--c4:#edb02f;--c5:#8ccff5;--c6:#c2588f;--c7:#bdbd55;--c8:#8577dd;--c9:#f0e442}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
sans-serif;-webkit-text-size-adjust:100%;overflow-wrap:anywhere}
main{max-width:62rem;margin:auto;padding:2.4rem 1.2rem 4rem}
h1{font-size:clamp(1.35rem,1rem + 1.7vw,1.9rem);line-height:1.28;font-weight:650;letter-spacing:-.012em;
margin:.3rem 0 .6rem;max-width:48rem;text-wrap:balance}
h2{font-size:1.15rem;font-weight:650;margin:2.8rem 0 .2rem}
p{margin:.35rem 0;max-width:46rem}.soft,.lead{color:var(--soft)}.lead{font-size:1.05rem}.note{color:var(--warn)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(12.5rem,1fr));gap:.7rem;margin:1.6rem 0 0}
.card{background:var(--card);border-radius:.6rem;padding:.8rem 1rem .85rem}
.card span{display:block;font-size:.82rem;color:var(--soft);line-height:1.35}.card span:first-child{color:var(--ink)}
.card b{display:block;font-size:1.5rem;font-weight:600;line-height:1.3;font-variant-numeric:tabular-nums}
svg{display:block;width:100%;height:auto;margin:.8rem 0 0;overflow:visible}
svg svg{overflow:hidden;margin:0}svg.narrow{display:none}
.grid,.axis{fill:none;stroke:var(--line)}.area+.grid,.area~.grid{stroke:var(--paper);stroke-opacity:.45}
.tick,.name{font-size:12px;fill:var(--soft)}.tick{font-variant-numeric:tabular-nums}
.end{text-anchor:end}.mid{text-anchor:middle}
.name{fill:var(--ink)}.served-name{font-weight:700}.baseline-name{font-style:italic}
.served,.halo,.candidate,.baseline,.leader{fill:none;stroke-linejoin:round;stroke-linecap:round}
.served{stroke-width:3}.halo{stroke:var(--paper);stroke-width:6;stroke-opacity:.75}.candidate{stroke-width:1.4;stroke-opacity:.9}
.baseline{stroke-width:1.8}
.key.candidate,.key.share{stroke-width:4}.leader{stroke-width:.8;stroke-opacity:.6}
.area{stroke:var(--paper);stroke-width:.8}
.promotion path,.rollback path,.drift path{stroke:var(--soft);fill:var(--soft)}.drift path{fill:var(--paper)}
path.line{stroke-dasharray:1 4;fill:none}
.promotion path.line,.rollback path.line{stroke-dasharray:none;stroke-opacity:.55}
.wide-table{overflow-x:auto;margin:.6rem 0 0}
table{border-collapse:collapse;width:100%;font-size:.94rem;overflow-wrap:break-word}
th{font-weight:500;color:var(--soft);font-size:.82rem;vertical-align:bottom}
th,td{text-align:left;padding:.34rem .9rem .34rem 0;border-bottom:1px solid var(--line)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.n{white-space:nowrap}
td.who{min-width:8rem;max-width:16rem}td.why{min-width:11rem}
tr.us td{font-weight:650}tr.base td:first-child{font-style:italic}
i.dot{display:inline-block;width:.7em;height:.7em;border-radius:.2em;margin-right:.55em;vertical-align:-.02em}
td.bars{width:34%;min-width:6rem;padding-right:0}i.bar{display:block;height:.62rem;border-radius:.2rem;min-width:1px}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:0 2rem;margin:.6rem 0 0}
.facts div{display:flex;justify-content:space-between;gap:1rem;border-bottom:1px solid var(--line);padding:.34rem 0;
font-size:.94rem}.facts dt{color:var(--soft);flex:none}
.facts dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
.reading{display:grid;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr));gap:1rem 2.2rem;margin:.8rem 0 0}
.reading dt{font-weight:600}.reading dd{margin:0;color:var(--soft);font-size:.94rem}
@media screen and (max-width:680px){svg.wide{display:none}svg.narrow{display:block}main{padding:1.4rem 1rem 3rem}
.cards{grid-template-columns:1fr 1fr;gap:.5rem}
td.bars{width:16%;min-width:3rem}td.what,th.what{display:none}th,td{padding-right:.6rem}}
@media print{body{font-size:10.5pt}main{max-width:none;padding:0}section,.card,tr,svg{break-inside:avoid}
h2{break-after:avoid}
.card{border:1px solid var(--line)}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
section.flows{break-inside:auto}}
"""

#: Control characters, and those that turn the direction of writing: they could make a name look like another.
HIDDEN = dict.fromkeys((*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), " ")


def text(value: object) -> str:
    """Return any value as text that is safe inside an element or an attribute, whatever characters it holds."""
    return escape(str(value).encode("utf-8", "replace").decode("utf-8").translate(HIDDEN))


def short(name: str, letters: int) -> str:
    """Return a name cut to at most ``letters`` characters."""
    return name if len(name) <= letters else name[: letters - 1] + "…"


def known(value: object) -> float | None:
    """Return a number that can be shown and reckoned with, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) < ABSURD else None


def number(value: object, places: int | None = None) -> str:
    """Return a number for people, with ``places`` decimals or four digits that count; a dash for none."""
    value = known(value)
    if value is None:
        return "–"
    if places is not None:
        return f"{value:,.{places}f}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e12 else f"{value:.4g}"  # noqa: PLR2004


def percentage(share: object, places: int = 1) -> str:
    """Return a share as a percentage whose sign stays on its line; a dash for none."""
    value = known(share)
    return "–" if value is None else f"{100 * value:.{places}f}\u202f%"


def colour(index: int) -> str:
    """Return the colour of the candidate with this index."""
    return f"var(--c{index % COLOUR_COUNT})"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def section(title: str, *parts: str, flows: bool = False) -> str:
    """Return a part of the page under a heading; ``flows`` if it may be broken over printed pages."""
    return f"<section{_class('flows' if flows else '')}><h2>{text(title)}</h2>{''.join(parts)}</section>"


def card(name: str, value: str, hint: str) -> str:
    """Return a number with its name and what to make of it."""
    return f'<div class="card"><span>{text(name)}</span><b>{text(value)}</b><span>{text(hint)}</span></div>'


def cell(content: object, kind: str = "") -> str:
    """Return a table cell of plain text."""
    return f"<td{_class(kind)}>{text(content)}</td>"


def table(columns: Sequence[tuple[str, str]], rows: Iterable[str]) -> str:
    """Return a table; ``columns`` are (name, class) and ``rows`` are finished rows of cells."""
    head = "".join(f'<th scope="col"{_class(kind)}>{text(name)}</th>' for name, kind in columns)
    return f'<div class="wide-table"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def page(title: str, parts: Iterable[str]) -> str:
    """Return the whole page."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>{text(title)}</title><style>{STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )
