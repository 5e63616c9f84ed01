"""One JSON object a line."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import msgspec

from acclimate_device.schema import SAMPLE_ROWS
from acclimate_device.sources.base import Source
from acclimate_shared.errors import InputError, SourceError

Scalar = str | int | float | bool | None


class JsonlSource(Source):
    """Rows of a JSON lines file; the columns are those of its first SAMPLE_ROWS rows."""

    def _begin(self, path: str) -> None:
        self._parsed = (parsed_line(line) for line in self._lines if line != "")
        self._sample = list(islice(self._parsed, SAMPLE_ROWS))
        names = list(dict.fromkeys(chain.from_iterable(row for row in self._sample if isinstance(row, dict))))
        if not names:
            raise SourceError("no line is a JSON object", field="file", value=path, remedy="write one object a line")
        self._choose(names)

    def _rows(self) -> Iterator[dict[str, Any] | InputError]:
        yield from self._sample
        yield from self._parsed


_DECODER = msgspec.json.Decoder(dict[str, Scalar])


def parsed_line(line: str | InputError) -> dict[str, Any] | InputError:
    """Return the object of a line, or why it is none."""
    if isinstance(line, InputError):
        return line
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        return InputError(f"not an object of plain values: {exc}", remedy="write one flat JSON object a line")
