"""The pages about the command lines, read from click."""

from collections.abc import Iterator
from pathlib import PurePath

import click

from acclimate_device.config import kind_of
from acclimate_tools.docs.markdown import cell, code, table


def page(name: str, command: click.Command) -> str:
    """Return the page of a command and of all below it.

    Args:
        name: as it is typed.
        command: what click runs.
    """
    parts = [f"# {name}\n\nThis page is read from the code when the site is built.\n"]
    for path, found, context in walk(name, command):
        if path != name:
            parts.append(f"## {path}\n")
        parts.append(_section(found, context))
    return "\n".join(parts)


def walk(
    name: str, command: click.Command, parent: click.Context | None = None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield a command and all below it, with what is typed for each and its context."""
    context = click.Context(command, info_name=name.rsplit(" ", maxsplit=1)[-1], parent=parent)
    yield name, command, context
    if isinstance(command, click.Group):
        for below in sorted(command.commands):
            yield from walk(f"{name} {below}", command.commands[below], context)


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [code(usage), *_told(command.help or "")]
    rows = [row for parameter in command.get_params(context) if (row := _row(parameter, context))]
    if rows:
        parts.append(table(("option", "takes", "default", ""), rows))
    return "\n".join(parts)


def _told(text: str) -> list[str]:
    """Return the help as paragraphs; what click prints as it stands becomes a block."""
    found = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        if lines[0].strip() == "\b":
            heading, *rest = lines[1:]
            found += [f"{heading.strip()}\n", code("\n".join(line.strip() for line in rest))]
        else:
            found.append(" ".join(line.strip() for line in lines) + "\n")
    return found


def _row(parameter: click.Parameter, context: click.Context) -> tuple[str, ...] | None:
    if not isinstance(parameter, click.Option):
        return f"`{parameter.make_metavar(context)}`", "", "needed" if parameter.required else "", ""
    if parameter.hidden or "--help" in parameter.opts:
        return None
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    told = parameter.help or ""
    if parameter.envvar:
        told += f" Variable: `{parameter.envvar}`."
    if parameter.multiple and "repeated" not in told and "again" not in told:
        told += " May be given again."
    return names, _takes(parameter), _default(parameter, context), cell(told.strip())


def _takes(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if option.metavar:
        return f"`{option.metavar}`"
    return kind_of(option).replace('"', "`")


def _default(parameter: click.Option, context: click.Context) -> str:
    if parameter.required:
        return "needed"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.get_default(context, call=False)
    values = value if isinstance(value, list | tuple) else [value]
    plain = [str(one) for one in values if isinstance(one, str | int | float | PurePath) and one != ""]
    return "" if parameter.is_flag or not plain else f"`{', '.join(plain)}`"
