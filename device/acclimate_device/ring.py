"""The data key of a state folder, in the hand: made, wrapped for storing, and opened again."""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from acclimate_device import keys
from acclimate_device.keys import WrappingKey
from acclimate_device.vault import KEY_BYTES, Vault, unwrap, wrap
from acclimate_shared.errors import CorruptStateError, StateError


class Ring:
    """A data key, and the wrapping key it is stored under."""

    def __init__(self, owner: str, data_key: bytes, key: WrappingKey) -> None:
        """Hold a data key that was made or opened for the state folder with the id ``owner``."""
        self.owner, self.key, self._data_key = owner, key, data_key
        self.vault = Vault(data_key, owner)

    @classmethod
    def new(cls, folder: Path, environment: Mapping[str, str] = os.environ) -> "Ring":
        """Make the key of a new state.

        Raises:
            StateError: see ``keys.preferred``.
        """
        key = keys.preferred(folder, environment)
        return cls(secrets.token_hex(16), secrets.token_bytes(KEY_BYTES), key)

    @classmethod
    def opened(cls, folder: Path, owner: str, wraps: str, environment: Mapping[str, str] = os.environ) -> "Ring":
        """Open the stored key.

        Args:
            folder: of the state.
            owner: its id.
            wraps: from ``stored``.
            environment: see ``keys``.

        Raises:
            StateError: no key that is there opens it.
            CorruptStateError: it is damaged.
        """
        there = keys.found(folder, environment)
        try:
            known = {name: bytes.fromhex(sealed) for name, sealed in json.loads(wraps).items()}
        except (ValueError, AttributeError) as exc:
            raise CorruptStateError("the data key is damaged", field="key", remedy="restore a copy") from exc
        for key in there:
            if key.name in known:
                return cls(owner, unwrap(key.secret, known[key.name], owner), key)
        message = "no key opens this state" if there else "the key of this state is missing"
        remedy = "give back the key file or credential that it was made with; without it nothing can be read"
        raise StateError(message, field="key", value=str(folder), remedy=remedy)

    def stored(self, under: Sequence[WrappingKey]) -> str:
        """Return the data key wrapped under each of some keys, as text; under none: nobody will ever open it."""
        return json.dumps({key.name: wrap(key.secret, self._data_key, self.owner).hex() for key in under})

    def under(self, key: WrappingKey) -> "Ring":
        """Return the same data key, stored under another key from now on."""
        return Ring(self.owner, self._data_key, key)

    def renewed(self) -> "Ring":
        """Return a new data key under the same wrapping key."""
        return Ring(self.owner, secrets.token_bytes(KEY_BYTES), self.key)
