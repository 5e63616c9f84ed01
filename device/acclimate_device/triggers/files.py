"""Where policies come from: a file, or the word for the one that ships."""

from pathlib import Path

from acclimate_device.triggers.config import Policy
from acclimate_device.triggers.recommended import RECOMMENDED
from acclimate_shared.errors import UsageError

WORD = "recommended"


def read_triggers(given: str) -> Policy:
    """Read when to learn.

    Args:
        given: path of a TOML file, or ``recommended``.

    Raises:
        UsageError: it cannot be read, or makes no sense.
    """
    if given == WORD:
        return RECOMMENDED
    try:
        return Policy.from_toml(Path(given).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        remedy = f"name a TOML file, or say {WORD}"
        raise UsageError(f"the triggers cannot be read: {exc}", field="triggers", value=given, remedy=remedy) from exc
