"""The reference names everything that there is."""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from acclimate_shared import errors
from acclimate_shared.messages import down, topics, up
from acclimate_tools.docs.reference import COMMANDS, pages


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return {place.stem: text for place, text in pages().items()}


def options(command: click.Command) -> Iterator[str]:
    yield from (name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from options(below)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_told(name: str, reference: dict[str, str]) -> None:
    text = reference[name]
    for below in options(COMMANDS[name]):
        assert f"`{below}`" in text, below
    assert "None" not in text


def test_every_message_field_and_topic_is_told(reference: dict[str, str]) -> None:
    text = reference["messages"]
    structs = [found for module in (up, down) for found in vars(module).values() if isinstance(found, type)]
    tagged = [found for found in structs if issubclass(found, msgspec.Struct) and found.__struct_config__.tag]
    assert len(tagged) > 10
    for found in tagged:
        _, told = text.split(f"\n## {found.__name__}\n", 1)
        for field in found.__struct_fields__:
            assert f"`{field}`" in told.split("\n## ")[0], (found, field)
    for kind in topics.Kind:
        assert kind.value in text


def test_every_error_is_told_and_each_has_a_place_in_the_tree(reference: dict[str, str]) -> None:
    kinds = [name for name, found in vars(errors).items() if isinstance(found, type) and name.endswith("Error")]
    tree, table = reference["errors"].split("| error |")
    for name in kinds:
        assert name in tree, name
        assert f"`{name}`" in table, name


def test_pages_lie_below_the_reference() -> None:
    assert {place.parent for place in pages()} == {Path("reference")}
