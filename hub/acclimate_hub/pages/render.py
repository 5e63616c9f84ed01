"""Templates become answers: every value is escaped, every missing one is an error, times are said in words.

An answer names its content by an ``ETag``, so that a page that looks again for news is told "nothing new" in a few
bytes.
"""

import functools
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from acclimate_shared.waves import NO_BASE

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
_LAST = 253_402_300_799.0  # the end of the year 9999
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@functools.cache
def _version(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def moment(time_s: float) -> datetime:
    """Return a time of UTC; what no calendar has is its nearest end."""
    return datetime.fromtimestamp(min(max(time_s, 0.0), _LAST), UTC)


def ago(time_s: float, now_s: float) -> str:
    """Return a time in words.

    Example:
        >>> ago(0.0, 30.0), ago(0.0, 150.0), ago(7200.0, 0.0), ago(0.0, 86400.0 * 3)
        ('just now', '2 min ago', 'in 2 h', '3 days ago')
    """
    away = abs(now_s - time_s)
    if away < MINUTE_S:
        return "just now"  # seconds would make every look of an open page a change
    steps = ((HOUR_S, MINUTE_S, "min"), (2 * DAY_S, HOUR_S, "h"), (float("inf"), DAY_S, "days"))
    unit_s, word = next((unit, word) for limit, unit, word in steps if away < limit)
    count = int(away // unit_s)
    return f"{count:,} {word} ago" if time_s <= now_s else f"in {count:,} {word}"


def size(count: float) -> str:
    """Return bytes in words.

    Example:
        >>> size(0), size(2048), size(5 * 2**30)
        ('0 B', '2.0 KiB', '5.0 GiB')
    """
    at = 0
    while count >= 1024 and at < len(_UNITS) - 1:  # noqa: PLR2004 - the next unit
        count, at = count / 1024, at + 1
    return f"{count:.0f} B" if at == 0 else f"{count:.1f} {_UNITS[at]}"


def span(seconds: float) -> str:
    """Return a length of time in words.

    Example:
        >>> span(0.00012), span(0.25), span(90.0), span(7200.0), span(86400.0 * 3)
        ('120 µs', '250 ms', '90 s', '2 h', '3 days')
    """
    if 0 < seconds < 1:
        return f"{seconds * 1e6:.3g} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"  # noqa: PLR2004 - units
    steps = ((2 * MINUTE_S, 1, "s"), (2 * HOUR_S, MINUTE_S, "min"), (2 * DAY_S, HOUR_S, "h"))
    unit_s, word = next(((unit, word) for limit, unit, word in steps if seconds < limit), (DAY_S, "days"))
    return f"{seconds / unit_s:.3g} {word}"


NO_BASE_WORDS = "what came with the agent"


def short(digest: str) -> Markup:
    """Return the beginning of a digest, with the whole of it to point at."""
    if not digest:
        return Markup('<span class="muted">none</span>')
    if digest == NO_BASE:
        return Markup('<span class="muted">{}</span>').format(NO_BASE_WORDS)
    return Markup('<code class="digest" title="{}">{}</code>').format(digest, digest[:12])


def environment() -> Environment:
    """Return the templates."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"short": short, "size": size, "span": span, "quoted": lambda text: quote(str(text), safe="")}
    return made


class Renderer:
    """Answers with templates."""

    def __init__(self, refresh_s: float) -> None:
        """Let open pages look for news every so many seconds."""
        self._environment = environment()
        self._refresh_s = refresh_s

    def page(
        self,
        request: Request,
        name: str,
        now_s: float,
        context: Mapping[str, Any] = MappingProxyType({}),
        status: int = 200,
    ) -> Response:
        """Return a page, or "nothing new" to who has it already."""
        root = request.scope["root_path"]

        def when(time_s: float | None) -> Markup:
            if time_s is None:
                return Markup("never")
            at = moment(time_s)
            shown = at.strftime("%Y-%m-%d %H:%M:%S UTC")
            return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), shown, ago(time_s, now_s))

        facts = {
            "root": root,
            "asset": lambda asset: f"{root}/static/{asset}?v={_version(asset)}",
            "when": when,
            "refresh_ms": round(self._refresh_s * 1000),
            "path": request.url.path,
            "who": None,
            "csrf": "",
        }
        body = self._environment.get_template(name).render({**facts, **context}).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if status == 200 and request.headers.get("if-none-match") == etag:  # noqa: PLR2004 - OK
            return Response(status_code=304, headers={"ETag": etag})
        return HTMLResponse(body, status, {"ETag": etag})
