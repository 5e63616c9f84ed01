"""Releases as rows, beside the signed files: for pages, the lineage of the fleet, and the audit log."""

from collections.abc import Sequence

import msgspec

from acclimate_hub.hub import Hub
from acclimate_hub.store import audit, releases
from acclimate_shared.release import Listed


def note(hub: Hub, tenant: str, listed: Sequence[Listed], *, actor: str) -> int:
    """Add a row for each release that has none yet; return how many.

    Raises:
        LinkError: the database does not answer.
    """
    now_s, count = hub.now(), 0
    with hub.database.write() as connection:
        known = {row.digest for row in connection.execute(releases.listed(tenant))}
        for one in listed:
            if one.digest in known:
                continue
            release = one.release
            columns = {
                "digest": one.digest,
                "name": release.model,
                "version": release.version,
                "manifest": msgspec.json.encode(msgspec.structs.replace(release, chunks="")),
            }
            releases.add(connection, tenant, columns, {"bundle": (one.digest, one.length)}, now_s)
            detail = {"version": release.version}
            act = audit.Act(actor=actor, action="release.publish", object=one.digest, detail=detail)
            audit.record(connection, tenant, act, now_s)
            count += 1
    return count
