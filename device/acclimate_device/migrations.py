"""States of earlier formats, brought to the present one, each inside one transaction."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from acclimate_device import binding, lineage_rows

if TYPE_CHECKING:  # what seals takes memory: loaded where a state is kept
    from acclimate_device.vault import Vault

OPEN_LINEAGE = "3"  # the format in which anyone could read the lines of the lineage


def seal_lineage(execute: Callable[..., Any], vault: "Vault") -> None:
    """From format 3 to 4: the lines of the lineage are sealed; the facts of a replay no longer hold the format.

    Raises:
        CorruptStateError: the facts are damaged.
    """
    lineage_rows.reseal(execute, None, vault)
    found = execute("SELECT value FROM meta WHERE name = 'binding'").fetchone()
    if found:
        facts = binding.opened(found[0], vault)
        facts.pop("state_format", None)
        execute("UPDATE meta SET value = ? WHERE name = 'binding'", [binding.sealed(facts, vault)])
    execute("UPDATE meta SET value = '4' WHERE name = 'format'")
