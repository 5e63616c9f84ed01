"""Where policies come from: a file, or the word for the one that ships."""

from pathlib import Path

from acclimate_device.triggers.config import Policy
from acclimate_device.triggers.recommended import RECOMMENDED
from acclimate_shared import toml_text
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
        text = toml_text.text_of(Path(given), "triggers")
    except UsageError as exc:
        exc.remedy = f"{exc.remedy}, or say {WORD}"
        raise
    return Policy.from_toml(text)
