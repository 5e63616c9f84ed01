"""Where events come from: files, standard input, this machine's own telemetry."""

from collections.abc import Sequence

from acclimate_device.sources.base import Source
from acclimate_device.sources.csv_file import CsvSource
from acclimate_device.sources.event import Event
from acclimate_device.sources.jsonl import JsonlSource
from acclimate_device.sources.rejects import Rejects
from acclimate_device.sources.text import file_digest, first_byte

__all__ = ["CsvSource", "Event", "JsonlSource", "Rejects", "Source", "file_digest", "open_source"]

_JSON_ENDINGS = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")


def open_source(
    path: str,
    *,
    label: str,
    key: str | None = None,
    ignore: Sequence[str] = (),
    rejects: Rejects,
    max_rows: int | None = None,
) -> Source:
    """Open a recorded stream: JSON lines by the file's ending or a brace as its first byte, else CSV.

    ``-`` is standard input.

    Raises:
        SourceError: it cannot be read.
        UsageError: the label or key column does not exist.
    """
    kind = JsonlSource if path.endswith(_JSON_ENDINGS) or first_byte(path) == b"{" else CsvSource
    return kind(path, label=label, key=key, ignore=ignore, rejects=rejects, max_rows=max_rows)
