"""Releases: what was released, what it is called, what descends from what, and how many devices carry it."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from sqlalchemy import Connection, Row

from acclimate_hub.pages import graph
from acclimate_hub.pages.views import Desk
from acclimate_hub.rollout import Rollout
from acclimate_hub.store import overview

MAX_RELEASES = 40
MAX_MOVES = 20  # of aliases


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release; ``row`` is missing for one that is only known by descent."""

    digest: str
    name: str
    version: str
    time_s: float
    withdrawn_s: float | None
    aliases: tuple[str, ...]
    devices: int
    rollouts: tuple[Rollout, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """Everything on the page."""

    releases: tuple[Release, ...]
    graph: Markup | str
    moves: tuple[Row[Any], ...]


def glance(connection: Connection, tenant: str, desk: Desk, device_url: str) -> Releases:
    """Return the page.

    Args:
        connection: of a ``read``.
        tenant: whose releases.
        desk: its rollouts.
        device_url: where the graph leads, a release's digest follows it.
    """
    moves = overview.aliases(connection, tenant, MAX_MOVES)
    named: dict[str, str] = {}
    for move in reversed(moves):
        named[move.name] = move.release
    carried, rollouts = overview.carriers(connection, tenant), desk.all()
    listed = {row.digest: row for row in overview.releases(connection, tenant, MAX_RELEASES)}
    nodes = {row.digest: row for row in overview.history(connection, tenant, "", MAX_RELEASES)}
    found = [
        Release(
            digest=digest,
            name=listed[digest].name if digest in listed else "release",
            version=(listed.get(digest) or nodes[digest]).version,
            time_s=listed[digest].created_s if digest in listed else nodes[digest].time_s,
            withdrawn_s=listed[digest].withdrawn_s if digest in listed else None,
            aliases=tuple(sorted(name for name, release in named.items() if release == digest)),
            devices=carried.get(digest, 0),
            rollouts=tuple(one for one in rollouts if one.digest == digest),
        )
        for digest in {**listed, **nodes}
    ]
    found.sort(key=lambda one: (-one.time_s, one.digest))
    edges = overview.edges(connection, tenant, [one.digest for one in found])
    names = graph.ordered([one.digest for one in found], edges)
    labels = {one.digest: _label(one, device_url) for one in found}
    picture = graph.draw(graph.lay_out(names, edges), labels, title="Releases and their descent") if found else ""
    return Releases(releases=tuple(found), graph=picture, moves=tuple(moves))


def _label(one: Release, device_url: str) -> graph.Label:
    called = f" · {', '.join(one.aliases)}" if one.aliases else ""
    tone = "off" if one.withdrawn_s is not None else "good" if one.devices else "plain"
    plural = "" if one.devices == 1 else "s"
    detail = f"{one.devices:,} device{plural}{' · withdrawn' if one.withdrawn_s is not None else ''}"
    title = f"{one.name} {one.version}{called}"
    return graph.Label(title=title, detail=detail, tone=tone, url=f"{device_url}{one.digest}")
