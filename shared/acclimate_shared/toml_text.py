"""TOML that people write: bounded, and read with errors that name what is wrong."""

import tomllib
from pathlib import Path
from typing import Any

from acclimate_shared.errors import UsageError

MOST_BYTES = 64 << 10  # of a text
MOST_LINE = 1024  # characters; the time that a dotted key takes grows with the square of its parts


def parse(text: str, field: str) -> dict[str, Any]:
    """Return the values of a text.

    Args:
        text: TOML.
        field: what an error names.

    Raises:
        UsageError: it is too long, too deep, or no TOML.
    """
    if len(text) > MOST_BYTES:
        raise UsageError("too long", field=field, value=len(text), remedy=f"give at most {MOST_BYTES:,} bytes")
    longest = max(map(len, text.split("\n")))
    if longest > MOST_LINE:
        raise UsageError("a line is too long", field=field, value=longest, remedy=f"break it before {MOST_LINE:,}")
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as exc:  # a date that is none is a ValueError
        raise UsageError(f"not TOML: {exc}", field=field, remedy="correct the file") from exc


def text_of(path: Path, field: str) -> str:
    """Return the text of a file.

    Raises:
        UsageError: it cannot be read, is too long, or is no UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        remedy = "name a TOML file in UTF-8"
        raise UsageError(f"the file cannot be read: {exc}", field=field, value=str(path), remedy=remedy) from exc
    if len(data) > MOST_BYTES:
        remedy = f"give at most {MOST_BYTES:,} bytes"
        raise UsageError("the file is too long", field=field, value=str(path), remedy=remedy)
    return text
