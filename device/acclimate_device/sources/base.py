"""What the file sources share: counting rows, splitting off label and key, the limit of rows."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from acclimate_device.sources.event import Event
from acclimate_device.sources.rejects import Rejects
from acclimate_device.sources.text import lines, open_bytes
from acclimate_shared.errors import InputError, SourceError, UsageError

MAX_COLUMNS = 10_000


class Source(ABC):
    """A recorded stream of events.

    Attributes:
        columns: names of the features, in order.
        rows_read: data rows met so far, rejected ones included.
        warnings: what the user should know, in sentences.
    """

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
        """Open the file and find the columns.

        Raises:
            SourceError: it cannot be read, is empty, or its columns are unusable.
            UsageError: the label or key column does not exist.
        """
        self.label, self.key, self.ignore = label, key, tuple(ignore)
        self.rejects = rejects
        self.max_rows = max_rows
        self.columns: list[str] = []
        self.rows_read = 0
        self.warnings: list[str] = []
        self._file = open_bytes(path)
        self._lines = lines(self._file)
        try:
            self._begin(path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._file is not sys.stdin.buffer:
            self._file.close()

    @abstractmethod
    def _begin(self, path: str) -> None:
        """Read what tells the columns, and call ``_choose``."""

    @abstractmethod
    def _rows(self) -> Iterator[dict[str, Any] | InputError]:
        """Yield every data row by column name, or why it cannot be used."""

    def _choose(self, found: Sequence[str], hint: str = "") -> None:
        """Decide the features from the columns that exist.

        Raises:
            SourceError: there are too many, or one name stands twice.
            UsageError: label or key is not among them.
        """
        if len(found) > MAX_COLUMNS:
            raise SourceError("too many columns", field="columns", value=len(found), remedy=f"keep {MAX_COLUMNS:,}")
        twice = [name for name in set(found) if found.count(name) > 1]
        if twice:
            raise SourceError("a column name stands twice", field="columns", value=min(twice), remedy="rename one")
        shown = ", ".join(found[:20]) + (", …" if len(found) > 20 else "")  # noqa: PLR2004
        for option, name in (("label", self.label), ("key", self.key)):
            if name is not None and name not in found:
                remedy = hint or f"the columns are: {shown}"
                raise UsageError(
                    f"the file has no column of this name for --{option}", field=option, value=name, remedy=remedy
                )
        for name in self.ignore:
            if name not in found:
                self.warnings.append(f"--ignore names {name!r}, which the file does not have")
        unused = {self.label, self.key, *self.ignore}
        self.columns = [name for name in found if name not in unused]

    def __iter__(self) -> Iterator[Event]:
        """Yield the events that could be read; count the others as rejects."""
        if self.max_rows is not None and self.rows_read >= self.max_rows:
            return
        for row in self._rows():
            self.rows_read += 1
            if isinstance(row, InputError):
                row.row = self.rows_read
                self.rejects.add(row)
            else:
                label, key = row.pop(self.label, None), row.get(self.key) if self.key else None
                yield Event(self.rows_read, row, label, "" if key is None else str(key))
            if self.max_rows is not None and self.rows_read >= self.max_rows:
                return
