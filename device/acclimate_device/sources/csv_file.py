"""Comma (or semicolon, tab, pipe) separated values with a header."""

import csv
from collections import deque
from collections.abc import Iterator
from typing import Any

from acclimate_device.sources.base import Source
from acclimate_shared.errors import InputError, SourceError

DELIMITERS = (",", ";", "\t", "|")
MAX_RECORD_LINES = 1000  # lines of one quoted record
MAX_RECORD_CHARS = 1 << 20

csv.field_size_limit(MAX_RECORD_CHARS)


class CsvSource(Source):
    """Rows of a CSV file; a quoted field may contain line ends."""

    def _begin(self, path: str) -> None:
        self._given_back: deque[str | InputError] = deque()
        header = next(self._lines, None)
        if header is None or header == "":
            raise SourceError("the file is empty", field="file", value=path, remedy="it needs a header line")
        if isinstance(header, InputError):
            raise SourceError(
                f"the header cannot be read: {header.message}", field="file", value=path, remedy=header.remedy
            )
        self._delimiter = _delimiter(header, self.label)
        self._header = _split(header, self._delimiter)
        self._choose(self._header)

    def _rows(self) -> Iterator[dict[str, Any] | InputError]:
        width, header, delimiter = len(self._header), self._header, self._delimiter
        while (line := self._next()) is not None:
            if isinstance(line, InputError):
                yield line
                continue
            if not line:
                continue
            fields = line.split(delimiter) if '"' not in line else self._quoted(line)
            if isinstance(fields, InputError):
                yield fields
            elif len(fields) != width:
                remedy = "quote fields that contain the delimiter, or mend the row"
                yield InputError(f"{len(fields)} fields instead of {width}", remedy=remedy)
            else:
                yield dict(zip(header, fields, strict=True))

    def _next(self) -> str | InputError | None:
        """Return the next line, first those that a broken record gave back; None at the end."""
        return self._given_back.popleft() if self._given_back else next(self._lines, None)

    def _quoted(self, line: str) -> list[str] | InputError:
        """Parse a record with quotes, taking further lines while a field is open.

        A record that turns out broken is its first line only: the other lines are given back and read as rows.
        """
        taken: list[str | InputError] = []
        try:
            return next(csv.reader(self._record(line, taken), delimiter=self._delimiter, strict=True))
        except csv.Error as exc:
            error = InputError(f"not valid CSV: {exc}", remedy="mend the quotes of the row")
        except InputError as exc:
            error = exc
        self._given_back.extendleft(reversed(taken))
        return error

    def _record(self, line: str, taken: list[str | InputError]) -> Iterator[str]:
        """Yield the lines of a record as long as they are asked for; ``taken`` gets those after the first.

        Raises:
            InputError: no line is left that could close the quote, within the bounds of a record.
        """
        yield f"{line}\n"
        chars = len(line)
        while (more := self._next()) is not None:
            taken.append(more)
            if isinstance(more, InputError):
                break
            chars += len(more) + 1
            if len(taken) >= MAX_RECORD_LINES or chars > MAX_RECORD_CHARS:
                raise InputError("a quoted field is too long", remedy="close the quote, or shorten the field")
            yield f"{more}\n"
        raise InputError("a quote is never closed", remedy="close the quote, or mend the row")


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, strict=True), [])


def _delimiter(header: str, label: str) -> str:
    """Return the delimiter under which the label is a column; else the one that gives most columns.

    Raises:
        SourceError: the header is not valid under any of them.
    """
    found: dict[str, list[str]] = {}
    for delimiter in DELIMITERS:
        try:
            found[delimiter] = _split(header, delimiter)
        except csv.Error:
            continue
    if not found:
        raise SourceError(
            "the header is not valid CSV", field="file", remedy="mend the quotes or line ends of the first line"
        )
    with_label = [d for d, names in found.items() if label in names]
    return max(with_label or found, key=lambda d: len(found[d]))
