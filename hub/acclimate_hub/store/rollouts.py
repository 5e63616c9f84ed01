"""The rollouts of one tenant as rows: the store that ``rollout.Rollouts`` asks for, on SQLite or PostgreSQL.

A row holds its record as MessagePack, with what is asked of it beside. A compare-and-set is one statement that names
the version it replaces; who comes second changes no row.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Select, Table, delete, select, update

from acclimate_hub.rollout.records import DeviceRow, Rollout, Transition
from acclimate_hub.store import tables
from acclimate_hub.store.database import Database, insert_new
from acclimate_shared.errors import ConflictError
from acclimate_shared.rollout_reports import BlockReport

_R, _T, _D, _B = tables.rollouts, tables.rollout_transitions, tables.rollout_devices, tables.rollout_blocks
_Record = TypeVar("_Record")
_decode, _encode = msgspec.msgpack.decode, msgspec.msgpack.encode


class SqlRollouts:
    """See ``rollout.store.Store``; every method is one transaction, and raises what ``Database`` raises."""

    def __init__(self, database: Database, tenant: str) -> None:
        """Use the rows of a tenant."""
        self._database, self._tenant = database, tenant

    # -- rollouts -----------------------------------------------------------------------------------------------

    def rollout(self, name: str) -> Rollout | None:
        """Return a rollout."""
        return self._one(self._of(_R, name), Rollout)

    def rollouts(self) -> Iterable[Rollout]:
        """Return all, in order of number and id."""
        query = select(_R.c.document).where(_R.c.tenant == self._tenant).order_by(_R.c.number, _R.c.rollout)
        return self._all(query, Rollout)

    def swap(self, new: Rollout, transition: Transition | None) -> bool:
        """Take a rollout in place of the version before it, and with it the record of its transition, or neither."""
        facts = {"row_version": new.version, "number": new.number, "state": new.phase.value, "document": _encode(new)}
        try:
            with self._database.write() as connection:
                if not self._swapped(connection, _R, {"rollout": new.id}, facts):
                    return False
                if transition is not None:
                    row = {"rollout": new.id, "row_version": transition.version, "document": _encode(transition)}
                    connection.execute(_T.insert().values(tenant=self._tenant, **row))
        except ConflictError:  # another rollout has the number
            return False
        return True

    def transitions(self, rollout: str) -> Iterable[Transition]:
        """Return the transitions of a rollout, in order."""
        return self._all(self._of(_T, rollout).order_by(_T.c.row_version), Transition)

    # -- devices ------------------------------------------------------------------------------------------------

    def device(self, rollout: str, device: str) -> DeviceRow | None:
        """Return the row of a device."""
        return self._one(self._of(_D, rollout).where(_D.c.device == device), DeviceRow)

    def devices(self, rollout: str) -> Iterable[DeviceRow]:
        """Return the rows of a rollout."""
        return self._all(self._of(_D, rollout).order_by(_D.c.device), DeviceRow)

    def swap_device(self, new: DeviceRow) -> bool:
        """Take a row in place of the version before it."""
        facts = {"row_version": new.version, "document": _encode(new)}
        with self._database.write() as connection:
            return self._swapped(connection, _D, {"rollout": new.rollout, "device": new.device}, facts)

    # -- measurements -------------------------------------------------------------------------------------------

    def add_block(self, report: BlockReport) -> bool:
        """Keep a report unless there is one of its (rollout, stage, device, block); return whether it was kept."""
        key = {
            "tenant": self._tenant,
            "rollout": report.rollout,
            "block": report.block,
            "stage": report.stage.value,
            "device": report.device,
        }
        with self._database.write() as connection:
            return bool(insert_new(connection, _B, [{**key, "document": _encode(report)}], list(key)))

    def blocks(self, rollout: str, block: int) -> Iterable[BlockReport]:
        """Return the reports of a time block."""
        return self._all(self._of(_B, rollout).where(_B.c.block == block).order_by(_B.c.device), BlockReport)

    def drop_blocks(self, rollout: str, before: int) -> None:
        """Forget the reports of the time blocks before this one."""
        mine = (_B.c.tenant == self._tenant, _B.c.rollout == rollout, _B.c.block < before)
        with self._database.write() as connection:
            connection.execute(delete(_B).where(*mine))

    # -- rows ---------------------------------------------------------------------------------------------------

    def _of(self, table: Table, rollout: str) -> Select[Any]:
        return select(table.c.document).where(table.c.tenant == self._tenant, table.c.rollout == rollout)

    def _one(self, query: Select[Any], kind: type[_Record]) -> _Record | None:
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
        return None if found is None else _decode(found, type=kind)

    def _all(self, query: Select[Any], kind: type[_Record]) -> list[_Record]:
        with self._database.read() as connection:
            return [_decode(document, type=kind) for document in connection.execute(query).scalars()]

    def _swapped(self, connection: Connection, table: Table, key: dict[str, str], facts: dict[str, Any]) -> bool:
        """Write a row in place of the version before it; return whether that was there."""
        whole = {"tenant": self._tenant, **key}
        if facts["row_version"] == 1:
            return bool(insert_new(connection, table, [{**whole, **facts}], list(whole)))
        mine = [table.c[name] == value for name, value in whole.items()]
        statement = update(table).where(*mine, table.c.row_version == facts["row_version"] - 1).values(**facts)
        return connection.execute(statement).rowcount == 1
