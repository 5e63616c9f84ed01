"""``python -m acclimate_tools.config_doc``: every key of the configuration file, written as docs/configuration.md."""

import sys
from pathlib import Path

from acclimate_device.cli_config import COMMANDS
from acclimate_device.config import Key, keys_of

PLACE = Path(__file__).parents[2] / "docs" / "configuration.md"
_HEAD = """\
# Configuration

One TOML file holds what the options of `acclimate run` and `acclimate serve` say: a table for each command, a key for
each option. Name it with `--config`, or in the variable `ACCLIMATE_CONFIG`.

```toml
[run]
source = "host"
state = "state"
learners = ["rls", "mlp"]
policy = "superiority"
```

- What is given on the command line wins over the file, and the file over the defaults. Every key may be left out,
  unless it says that it is needed.
- Paths are taken from the folder of the file. Keys and passphrases are never in it: they are files of their own.
- A key that does not exist, or a value that it does not take, is refused before anything starts: exit code 2.
- `acclimate config check FILE` checks it; `acclimate config show FILE` tells every value and where it comes from.

This page is written by `python -m acclimate_tools.config_doc`.
"""


def document() -> str:
    """Return the page."""
    parts = [_HEAD]
    for name, command in COMMANDS.items():
        parts.append(f"\n## [{name}]\n\n| key | takes | default | |\n|---|---|---|---|\n")
        parts += [_row(key) for key in keys_of(command).values()]
    return "".join(parts)


def _row(key: Key) -> str:
    default = "needed" if key.option.required else "" if key.default is None else _value(key.default)
    return f"| `{key.name}` | {_cell(key.kind)} | {default} | {_cell(key.told)} |\n"


def _value(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value}"
    return f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PLACE.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{PLACE}\n")
