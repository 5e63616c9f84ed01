"""Lines of a file, plain or gzip, or of standard input, without ever holding more than one bounded line.

A line that is too long is skipped while it is read; bytes that are no UTF-8 spoil their own line only. What ends early
(a truncated gzip) gives the lines before the end and then says so.
"""

import gzip
import hashlib
import sys
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from acclimate_shared.errors import InputError, SourceError

MAX_LINE_BYTES = 1 << 20
STDIN = "-"
_GZIP = b"\x1f\x8b"


def open_bytes(path: str) -> BinaryIO:
    """Open a file, gunzipping it by its first bytes, or standard input for ``-``.

    Raises:
        SourceError: it cannot be opened.
    """
    if path == STDIN:
        return sys.stdin.buffer
    try:
        if Path(path).is_fifo():  # a pipe gives its bytes once, and they are needed twice
            raise SourceError("a pipe", field="file", value=path, remedy=f"redirect it to standard input, name {STDIN}")
        with Path(path).open("rb") as file:
            zipped = file.read(len(_GZIP)) == _GZIP
        # gzip's own readline goes through Python for every line
        return BufferedReader(gzip.open(path)) if zipped else Path(path).open("rb")
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise SourceError(f"cannot open: {reason}", field="file", value=path, remedy="check the name") from exc


def first_byte(path: str) -> bytes:
    """Return the first byte of a source, gunzipped, without consuming it; b"" if there is none to be had.

    Raises:
        SourceError: it cannot be opened.
    """
    file = open_bytes(path)
    try:
        return cast("BufferedReader", file).peek(1)[:1]
    except (EOFError, OSError, zlib.error):
        return b""  # reading it will tell why
    finally:
        if path != STDIN:
            file.close()


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits.

    Raises:
        SourceError: it cannot be read, or is standard input, which cannot be read twice.
    """
    if path == STDIN:
        raise SourceError("standard input cannot be resumed", field="file", value=path, remedy="save it to a file")
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise SourceError(f"cannot read: {exc.strerror}", field="file", value=path, remedy="check the file") from exc


def lines(file: BinaryIO) -> Iterator[str | InputError]:
    """Yield each line without its end, or an error (without a row number) in place of one that cannot be used."""
    first = True
    try:
        while True:
            raw = file.readline(MAX_LINE_BYTES + 1)
            if not raw:
                return
            if len(raw) > MAX_LINE_BYTES:
                _skip_line(file, raw)
                yield InputError(f"a line longer than {MAX_LINE_BYTES:,} bytes", remedy="split or drop the row")
                continue
            yield decoded(raw.removeprefix(b"\xef\xbb\xbf") if first else raw)
            first = False
    except (EOFError, OSError, zlib.error) as exc:
        yield InputError(f"the file ends early: {exc}", remedy="fetch the file again; the rows before it were used")


def _skip_line(file: BinaryIO, raw: bytes) -> None:
    while raw and not raw.endswith(b"\n"):
        raw = file.readline(MAX_LINE_BYTES)


def decoded(raw: bytes) -> str | InputError:
    """Return the text of a line without its end, or why it has none."""
    if b"\0" in raw:
        return InputError("a NUL byte", remedy="is this a text file? mend or drop the row")
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as exc:
        return InputError(f"not UTF-8 at byte {exc.start + 1}", remedy="convert the file to UTF-8")
