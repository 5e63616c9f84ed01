"""Which worker reads which shard: a row a shard, owned for a while, shared fairly among the workers that are alive."""

from sqlalchemy import Connection, delete, func, select, update

from acclimate_hub import limits
from acclimate_hub.store import tables
from acclimate_hub.store.database import upsert
from acclimate_shared.messages.limits import SHARDS

_T, _WORKERS = tables.leases, tables.workers


def balance(connection: Connection, tenant: str, worker: str, now_s: float) -> frozenset[int]:
    """Renew what a worker owns, give away what is more than its share, take what is free; return what it owns now.

    Args:
        connection: of a ``write``.
        tenant: whose shards.
        worker: id of the one that asks.
        now_s: seconds since 1970; clocks of workers must agree within a few seconds.
    """
    beat = {"tenant": tenant, "worker": worker, "expires_s": now_s + limits.LEASE_S}
    rows = list(connection.execute(select(_T).where(_T.c.tenant == tenant).order_by(_T.c.shard).with_for_update()))
    upsert(connection, _WORKERS, [beat], ("tenant", "worker"))
    connection.execute(
        delete(_WORKERS).where(_WORKERS.c.tenant == tenant, _WORKERS.c.expires_s < now_s - limits.LEASE_S)
    )
    alive = select(func.count()).where(_WORKERS.c.tenant == tenant, _WORKERS.c.expires_s > now_s)
    share = -(-SHARDS // connection.execute(alive).scalar_one())
    mine = [row.shard for row in rows if row.worker == worker and row.expires_s > now_s]
    free = [row.shard for row in rows if row.expires_s <= now_s]
    kept = frozenset((mine + free)[:share])
    release(connection, tenant, worker, frozenset(mine) - kept)
    _own(connection, tenant, kept, worker, now_s + limits.LEASE_S)
    return kept


def release(connection: Connection, tenant: str, worker: str, shards: frozenset[int]) -> None:
    """Give shards away at once."""
    mine = (_T.c.tenant == tenant) & (_T.c.worker == worker) & _T.c.shard.in_(shards)
    connection.execute(update(_T).where(mine).values(worker="", expires_s=0.0))


def leave(connection: Connection, tenant: str, worker: str) -> None:
    """Give everything away at once: a worker that ends need not be waited for."""
    release(connection, tenant, worker, frozenset(range(SHARDS)))
    connection.execute(delete(_WORKERS).where(_WORKERS.c.tenant == tenant, _WORKERS.c.worker == worker))


def _own(connection: Connection, tenant: str, shards: frozenset[int], worker: str, expires_s: float) -> None:
    where = (_T.c.tenant == tenant) & _T.c.shard.in_(shards)
    connection.execute(update(_T).where(where).values(worker=worker, expires_s=expires_s))
