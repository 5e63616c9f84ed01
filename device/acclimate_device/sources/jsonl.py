"""One JSON object a line."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import msgspec

from acclimate_device.schema import SAMPLE_ROWS
from acclimate_device.sources.base import Source
from acclimate_device.sources.rejects import Rejects
from acclimate_device.sources.text import lines, open_bytes
from acclimate_shared.errors import InputError, SourceError

Scalar = str | int | float | bool | None


class JsonlSource(Source):
    """Rows of a JSON lines file; the columns are those of its first SAMPLE_ROWS rows."""

    def __init__(
        self,
        path: str,
        *,
        label: str,
        key: str | None = None,
        ignore: Sequence[str] = (),
        rejects: Rejects,
        max_rows: int | None = None,
    ) -> None:
        """Read the first rows to find the columns.

        Raises:
            SourceError: the file cannot be read or has no row.
            UsageError: the label or key column does not exist.
        """
        super().__init__(label=label, key=key, ignore=ignore, rejects=rejects, max_rows=max_rows)
        self._parsed = (_parse(line) for line in lines(open_bytes(path)) if line != "")
        self._sample = list(islice(self._parsed, SAMPLE_ROWS))
        names = list(dict.fromkeys(chain.from_iterable(row for row in self._sample if isinstance(row, dict))))
        if not names:
            raise SourceError("no line is a JSON object", field="file", value=path, remedy="write one object a line")
        self._choose(names)

    def _rows(self) -> Iterator[dict[str, Any] | InputError]:
        yield from self._sample
        yield from self._parsed


_DECODER = msgspec.json.Decoder(dict[str, Scalar])


def _parse(line: str | InputError) -> dict[str, Any] | InputError:
    if isinstance(line, InputError):
        return line
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        return InputError(f"not an object of plain values: {exc}", remedy="write one flat JSON object a line")
