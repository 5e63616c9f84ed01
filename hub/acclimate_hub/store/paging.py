"""One page of a query, in the order of a unique key; a cursor is the key of its last row."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select

from acclimate_hub import limits


def page(
    connection: Connection, query: Select[Any], key: ColumnElement[Any], after: str | int | None, limit: int
) -> tuple[list[Row[Any]], str | None]:
    """Return at most ``limit`` rows behind ``after``, and the cursor of the next page, None after the last one.

    Args:
        connection: of a ``read``.
        query: without an order.
        key: unique among the rows of the query, and one of its columns.
        after: cursor of the page before, None for the first one.
        limit: 1 to ``MAX_PAGE_ROWS``.
    """
    limit = max(1, min(limit, limits.MAX_PAGE_ROWS))
    if after is not None:
        query = query.where(key > after)
    rows = list(connection.execute(query.order_by(key).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, str(getattr(rows[-1], str(key.key))) if more else None
