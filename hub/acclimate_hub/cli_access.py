"""Which hub the commands of ``acclimate-hub`` work on, and how: the options before a command.

With ``--hub`` they are a client of its API, and the token says who acts. Without it they ask the same application
within this process, on the database of this machine, and the audit log names the person at the shell.
"""

import functools
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from acclimate_shared.errors import AccessError, UsageError

if TYPE_CHECKING:
    from acclimate_hub.client import Client
    from acclimate_hub.hub import Hub
    from acclimate_hub.identity.api_tokens import Caller

TOKEN = "ACCLIMATE_HUB_TOKEN"  # noqa: S105 - the name of a variable
_WHO = re.compile(r"[\w.@\-]{1,48}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options before a command.

    Attributes:
        folder: of the hub's data; ``database``: its URL, "" for a file there.
        tenant: whose; ``who``: the person at this shell, "" for the name of the account.
        remote: URL of a hub elsewhere, "" for the one here; the rest says how it is reached.
    """

    folder: Path
    database: str
    tenant: str | None
    who: str
    remote: str
    ca: Path | None
    token_file: Path | None
    timeout_s: float
    key: str

    @property
    def url(self) -> str:
        """URL of the database here.

        Raises:
            UsageError: the command is for a hub elsewhere.
        """
        if self.remote:
            remedy = "log in there and leave --hub out"
            raise UsageError("this works on the hub's own machine", field="hub", value=self.remote, remedy=remedy)
        return self.database or f"sqlite:///{self.folder.resolve() / 'hub.db'}"

    @property
    def secret(self) -> Path:
        """File of the secret."""
        return self.folder / "secret"

    @property
    def own(self) -> str:
        """Tenant of the hub here."""
        return self.tenant or "main"

    @property
    def actor(self) -> str:
        """Who acts here, as the audit log names it.

        Raises:
            UsageError: that is no name.
        """
        return self._operator().actor

    def hub(self) -> "Hub":
        """Open the hub here."""
        from acclimate_hub.hub import Hub

        return Hub.open(self.url, self.secret, time.time)

    @contextmanager
    def client(self) -> Iterator["Client"]:
        """Open the API.

        Raises:
            UsageError: the options make no sense together.
            AccessError: there is no token, or others may read its file.
        """
        with self._remote() if self.remote else self._local() as client:
            yield client

    def _operator(self) -> "Caller":
        from acclimate_hub.identity.api_tokens import Caller
        from acclimate_hub.identity.tokens import Scope

        who = self.who or _account()
        if not _WHO.match(who):
            remedy = "give at most 48 letters, digits and . @ - _"
            raise UsageError("this is no name of a person", field="who", value=who, remedy=remedy)
        return Caller(token=who, tenant=self.own, scope=Scope.ADMIN, origin="cli")

    def _remote(self) -> "Client":
        from acclimate_hub.client import Access, connected, read_token

        for field, value in (("who", self.who), ("tenant", self.tenant)):
            if value:
                remedy = f"leave --{field} out"
                raise UsageError("over --hub the token says that", field=field, value=value, remedy=remedy)
        token = read_token(self.token_file) if self.token_file else os.environ.get(TOKEN, "").strip()
        if not token.isascii() or not token.isprintable() or not token:
            remedy = f"put one into {TOKEN}, or its file into --token-file; acclimate-hub token create makes one"
            raise AccessError("there is no token", field="token", remedy=remedy)
        access = Access(url=self.remote, token=token, ca=self.ca, timeout_s=self.timeout_s, key=self.key)
        return connected(access)

    @contextmanager
    def _local(self) -> Iterator["Client"]:
        import httpx2

        from acclimate_hub.api.app import create
        from acclimate_hub.client import Access, Client
        from acclimate_hub.store import tenants

        hub = self.hub()
        try:
            with hub.database.read() as connection:
                tenants.get(connection, self.own)
            shelves = functools.partial(hub.shelf, folder=self.folder)
            app = create(hub, shelves=shelves, operator=self._operator())
            access = Access(url="http://localhost", token="", timeout_s=self.timeout_s, key=self.key)
            with Client(httpx2.ASGITransport(app), access) as client:
                yield client
        finally:
            hub.close()


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options before a command."""
    path = click.Path(path_type=Path)
    for add in reversed([
        click.option("--data", "folder", type=path, default=Path("hub-data"), envvar="ACCLIMATE_HUB_DATA",
                     show_default=True, help="Folder of the secret and, without --database, of the SQLite file."),
        click.option("--database", default="", envvar="ACCLIMATE_HUB_DATABASE",
                     help="URL, such as postgresql://USER@HOST/NAME."),
        click.option("--tenant", help="Whose; default: main. Over --hub the token says it."),
        click.option("--who", default="", help="Who acts here, for the record; default: you. Over --hub the token."),
        click.option("--hub", "remote", default="", envvar="ACCLIMATE_HUB_URL", metavar="URL",
                     help="A hub elsewhere, https://HOST:PORT; default: the one of --data."),
        click.option("--ca", type=path, envvar="ACCLIMATE_HUB_CA",
                     help="With --hub: the authority of its certificate (PEM); default: those of the system."),
        click.option("--token-file", type=path, envvar="ACCLIMATE_HUB_TOKEN_FILE",
                     help=f"With --hub: file of an API token, mode 0600; default: the variable {TOKEN}."),
        click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), default=30.0,
                     show_default=True, help="For one request, seconds; half of it to connect."),
        click.option("--idempotency-key", "key", default="",
                     help="Of a write: the same again, within a day, is done once; default: a new one."),
    ]):  # fmt: skip
        command = add(command)
    return command


as_json = click.option("--json", "as_json", is_flag=True, help="Print what the API answers, as JSON.")


def show(found: object, lines: Callable[[Any], Sequence[str]], *, as_json: bool) -> None:
    """Print something for machines, or as lines for people."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)))
        return
    for line in lines(found):
        click.echo(line)


def columns(*names: str) -> Callable[[Sequence[dict[str, Any]]], list[str]]:
    """Return what makes aligned lines of rows; a time (``..._s``) is told in UTC.

    Example:
        >>> columns("device", "seen_s")([{"device": "gw-1", "seen_s": 0}, {"device": "b", "seen_s": None}])
        ['gw-1  1970-01-01T00:00:00Z', 'b     -']
    """

    def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
        cells = [[_cell(name, row.get(name)) for name in names] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]

    return lines


DEVICES = columns("device", "cohort", "online", "seen_s", "revoked_s", "running")


def done(answer: dict[str, Any]) -> Sequence[str]:
    """Return the line about something that is done."""
    return [f"{answer['done']} {answer['object']}"]


def list_items(settings: Settings, path: str, *names: str, json: bool, **query: str | None) -> None:
    """Print what a path lists, with these columns."""
    with settings.client() as api:
        show(list(api.items(path, **query)), columns(*names), as_json=json)


def post(settings: Settings, path: str, *, json: bool) -> None:
    """Do what needs no more words than a path."""
    with settings.client() as api:
        show(api.send("POST", path), done, as_json=json)


def part(word: str) -> str:
    """Return a word that is one part of a path.

    Raises:
        UsageError: it is not.
    """
    if not word or not word.isascii() or not word.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError("this is no name", field="name", value=word, remedy="letters, digits and . - _")
    return word


def _cell(name: str, value: object) -> str:
    if isinstance(value, int | float) and name.endswith("_s") and not isinstance(value, bool):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(value))
    return "-" if value in {None, ""} else str(value)


def _account() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return f"uid-{os.getuid()}"
