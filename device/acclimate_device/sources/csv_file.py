"""Comma (or semicolon, tab, pipe) separated values with a header."""

import csv
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
        for line in self._lines:
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

    def _quoted(self, line: str) -> list[str] | InputError:
        """Parse a record with quotes, taking further lines while a quote is open."""
        record, count = line, 1
        while record.count('"') % 2:
            more = next(self._lines, None)
            if more is None or isinstance(more, InputError):
                return InputError("a quote is never closed", remedy="close the quote, or mend the row")
            record, count = f"{record}\n{more}", count + 1
            if count > MAX_RECORD_LINES or len(record) > MAX_RECORD_CHARS:
                return InputError("a quoted field is too long", remedy="close the quote, or shorten the field")
        try:
            return _split(record, self._delimiter)
        except csv.Error as exc:
            return InputError(f"not valid CSV: {exc}", remedy="mend the row")


def _split(record: str, delimiter: str) -> list[str]:
    return next(csv.reader(record.splitlines(keepends=True), delimiter=delimiter, strict=True), [])


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
        raise SourceError("the header is not valid CSV", field="file", remedy="mend the quotes in the first line")
    with_label = [d for d, names in found.items() if label in names]
    return max(with_label or found, key=lambda d: len(found[d]))
