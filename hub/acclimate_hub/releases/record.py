"""Releases as rows, beside the signed files: for pages, the lineage of the fleet, and the audit log."""

from collections.abc import Sequence

import msgspec

from acclimate_hub.hub import Hub
from acclimate_hub.store import audit, releases
from acclimate_shared.release import Listed


def note(hub: Hub, tenant: str, listed: Sequence[Listed], *, actor: str) -> int:
    """Let the rows say what signed metadata list now: new releases, withdrawn ones, and those that came back.

    Returns:
        How many changed.

    Raises:
        LinkError: the database does not answer.
    """
    now_s, acts = hub.now(), []
    with hub.database.write() as connection:
        known = {row.digest: row for row in connection.execute(releases.listed(tenant))}
        for one in listed:
            version = one.release.version
            if one.digest not in known:
                releases.add(connection, tenant, _columns(one), {"bundle": (one.digest, one.length)}, now_s)
            elif known[one.digest].withdrawn_s is not None:
                releases.withdraw(connection, tenant, one.digest, None)
            else:
                continue
            acts.append(_act(actor, "publish", one.digest, version))
        for digest in sorted(known.keys() - {one.digest for one in listed}):
            if known[digest].withdrawn_s is None:
                releases.withdraw(connection, tenant, digest, now_s)
                acts.append(_act(actor, "withdraw", digest, known[digest].version))
        for act in acts:
            audit.record(connection, tenant, act, now_s)
    return len(acts)


def _columns(one: Listed) -> dict[str, object]:
    release = one.release
    manifest = msgspec.json.encode(msgspec.structs.replace(release, chunks=""))
    return {"digest": one.digest, "name": release.model, "version": release.version, "manifest": manifest}


def _act(actor: str, what: str, digest: str, version: str) -> audit.Act:
    return audit.Act(actor=actor, action=f"release.{what}", object=digest, detail={"version": version})
