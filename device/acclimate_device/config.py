"""One TOML file in place of options: a table for each command that takes it, a key for each of its options.

    [run]
    source = "host"
    state = "/var/lib/acclimate"
    policy = "superiority"

Keys are the long options, with ``_`` for ``-``. What is given on the command line wins over the file, and the file over
the defaults. Paths are taken from the folder of the file. Secrets are not in it: keys are files of their own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from acclimate_shared import toml_text
from acclimate_shared.errors import UsageError

Values = dict[str, Any]
OPTION = "config"  # the option that names the file
_FIELD = "config"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table.

    Attributes:
        name: in the file.
        option: that it stands for.
        kind: of its values, in words.
        default: as the command has it, None for none.
        told: what it does.
    """

    name: str
    option: click.Option
    kind: str
    default: Any
    told: str


def keys_of(command: click.Command) -> dict[str, Key]:
    """Return the keys of a command's table by name, in the order of its options."""
    return {key.name: key for key in _keys(command)}


def _keys(command: click.Command) -> Iterator[Key]:
    for option in command.params:
        if not isinstance(option, click.Option) or option.name == OPTION or option.hidden:
            continue
        longest = max(option.opts, key=len)
        name = longest.removeprefix("--").replace("-", "_")
        default = option.get_default(click.Context(command), call=False)
        known = type(default) in {str, int, float, bool}  # click has a mark of its own for none
        yield Key(name, option, kind_of(option), default if known else None, option.help or "")


def kind_of(option: click.Option) -> str:
    """Return what values an option takes, in words."""
    found = option.type
    if option.is_flag:
        words = "true or false"
    elif isinstance(found, click.Choice):
        words = " or ".join(f'"{choice}"' for choice in found.choices)
    elif isinstance(found, click.types._NumberRangeBase):  # noqa: SLF001 (click names its ranges nowhere else)
        whole = "whole number" if isinstance(found, click.IntRange) else "number"
        low = "" if found.min is None else f" from {found.min:,}"
        words = f"{whole}{low}" + ("" if found.max is None else f" to {found.max:,}")
    elif isinstance(found, click.Path):
        words = "path"
    else:
        words = "list of names" if option.metavar == "A,B" else "text"
    return f"list of {words}s" if option.multiple else words


def read(path: Path, commands: Mapping[str, click.Command]) -> dict[str, Values]:
    """Return the tables of a file, every value checked, as the commands take them.

    Args:
        path: of the file.
        commands: that take a table, by name.

    Raises:
        UsageError: with the key, its value and what to give instead.
    """
    tables = toml_text.parse(toml_text.text_of(path, _FIELD), _FIELD)
    found: dict[str, Values] = {}
    for name, table in tables.items():
        if name not in commands or not isinstance(table, dict):
            raise _unknown(name, list(commands), "table")
        keys = keys_of(commands[name])
        for key in table:
            if key not in keys:
                raise _unknown(f"{name}.{key}", [f"{name}.{known}" for known in keys], "key")
        found[name] = {
            str(keys[key].option.name): _checked(f"{name}.{key}", keys[key], value, path.parent)
            for key, value in table.items()
        }
    return found


def _unknown(name: str, known: list[str], what: str) -> UsageError:
    near = get_close_matches(name, known, 1, 0.75)
    remedy = f"did you mean {near[0]}?" if near else f"the {what}s are: {', '.join(known)}"
    return UsageError(f"no such {what}", field=name, remedy=remedy)


def _checked(field: str, key: Key, value: object, folder: Path) -> Any:  # noqa: ANN401 (of the option)
    """Return a value as its option takes it."""
    option, remedy = key.option, f"give {key.kind}"
    if option.multiple or key.kind == "list of names":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UsageError("not a value of this key", field=field, value=value, remedy=remedy)
        return [_one(field, key, item, folder) for item in value] if option.multiple else ",".join(value)
    wanted = bool if option.is_flag else _types(option.type)
    if not isinstance(value, wanted) or (isinstance(value, bool) and not option.is_flag):
        raise UsageError("not a value of this key", field=field, value=value, remedy=remedy)
    return _one(field, key, value, folder)


def _types(found: click.ParamType[Any]) -> tuple[type, ...]:
    if isinstance(found, click.types.IntParamType):
        return (int,)
    return (int, float) if isinstance(found, click.types.FloatParamType) else (str,)


def _one(field: str, key: Key, value: object, folder: Path) -> Any:  # noqa: ANN401
    given = str(folder / str(value)) if isinstance(key.option.type, click.Path) else value
    try:
        key.option.type.convert(given, key.option, None)
    except click.UsageError as exc:
        message = f"not a value of this key: {exc.message}"
        raise UsageError(message, field=field, value=value, remedy=f"give {key.kind}") from exc
    return given


def effective(command: click.Command, table: Values) -> Iterator[tuple[Key, Any, str]]:
    """Yield each key of a command with its value and where that comes from: ``file`` or ``default``."""
    for key in keys_of(command).values():
        given = str(key.option.name) in table
        yield key, table[str(key.option.name)] if given else key.default, "file" if given else "default"
