"""The pages that are read from the code, each by its place below ``docs/``."""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import acclimate_device.cli
import acclimate_hub.cli
import acclimate_tools.author.cli
from acclimate_hub.api.app import create
from acclimate_hub.api.problems import RESPONSES, Problem
from acclimate_hub.hub import Hub
from acclimate_hub.store.database import Database
from acclimate_tools.docs import commands, errors, http, messages, python

COMMANDS = {
    "acclimate": acclimate_device.cli.main,
    "acclimate-hub": acclimate_hub.cli.main,
    "acclimate-author": acclimate_tools.author.cli.main,
}


def pages() -> dict[Path, str]:
    """Return the text of every page."""
    found = {name: commands.page(name, command) for name, command in COMMANDS.items()}
    found |= {
        "messages": messages.page(),
        "http-api": http.page(_description(), Problem.model_json_schema(), RESPONSES),
    }
    found |= {"errors": errors.page(), "python-api": python.page()}
    return {Path("reference") / f"{name}.md": text for name, text in found.items()}


def _description() -> dict[str, object]:
    """Return what the hub says of its API."""
    with TemporaryDirectory() as scratch, closing(Database.open(f"sqlite:///{scratch}/hub.db")) as database:
        return create(Hub(database, b"nobody signs in", lambda: 0.0)).openapi()
