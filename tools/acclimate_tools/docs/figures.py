"""Measured numbers in the pages, read from the JSON under ``docs/results`` when the site is built.

``{{ bench-contest equals.promoted | .1% }}`` becomes ``3.8 %``: the name of the file, a path of keys and positions,
and a format of Python's. An item of a list may be chosen by fields: ``streams[stream=elec2&delay=0].served``. A key
that has dots in it stands in quotes: ``figures."AR(.3), blocks"``.

Example:
    >>> fill("at {{ demo runs[of=b].share | .1% }}", {"demo": {"runs": [{"of": "a"}, {"of": "b", "share": 0.25}]}})
    'at 25.0 %'
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from acclimate_shared.errors import MissingError

_FIGURE = re.compile(r"\{\{ ([a-z\-]+) ([^|{}]+?) \| ([^{}|]+?) \}\}")
_STEP = re.compile(r'"([^"]+)"|\[([^\]]+)\]|([^.\["]+)')


def read_results(folder: Path) -> dict[str, object]:
    """Return every result by its name, without the ending."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def fill(text: str, results: Mapping[str, object]) -> str:
    """Return a page with every figure in its place.

    Args:
        text: Markdown.
        results: what `read_results` gives.

    Raises:
        MissingError: there is no such result, no such path in it, or the format does not fit.
    """
    filled = _FIGURE.sub(lambda found: _shown(results, found[1], found[2], found[3]), text)
    if "{{ " in filled:
        at = filled.index("{{ ")
        remedy = "write {{ RESULT PATH | FORMAT }}"
        raise MissingError("this is no figure", field="page", value=filled[at : at + 60], remedy=remedy)
    return filled


def _shown(results: Mapping[str, object], name: str, path: str, form: str) -> str:
    try:
        value = _at(results[name], path)
        shown = format(value, form)
    except (KeyError, IndexError, TypeError, ValueError, StopIteration) as exc:
        remedy = f"see docs/results/{name}.json"
        raise MissingError("a page shows a figure that is not there", field=name, value=path, remedy=remedy) from exc
    return shown[:-1] + " %" if shown.endswith("%") else shown


def _at(value: object, path: str) -> object:
    for quoted, choice, plain in _STEP.findall(path):
        if choice:
            wanted = dict(part.split("=", 1) for part in choice.split("&"))
            value = next(item for item in _list(value) if all(str(item[k]) == v for k, v in wanted.items()))
        elif isinstance(value, dict):
            value = value[quoted or plain]
        else:
            value = _list(value)[int(plain)]
    return value


def _list(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value
