"""The closed set, told to people."""

from typing import Any, get_args

import msgspec

from acclimate_shared.messages.up import EnrolRequest, Event, State, Want


def sendable() -> dict[str, list[str]]:
    """Return every message that a device may send, with the names of its fields."""
    kinds: list[Any] = [State, *(get_args(Event) or (Event,)), Want, EnrolRequest]
    return {
        str(kind.__struct_config__.tag or kind.__name__): [f.name for f in msgspec.structs.fields(kind)]
        for kind in kinds
    }
