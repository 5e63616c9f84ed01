"""Encryption at rest, over bytes alone: what is written is secret, and stays where it was put.

AES-256-GCM. A record is bound to its place (which state folder, which table, which name) by its associated data, so
one that was moved, swapped or taken from another folder does not open. Digests of content are keyed, so whoever sees
them learns nothing about content they could guess.

No nonce is ever used twice under a key, not even when a folder is restored from a copy, or the process is killed or
forks: every opened vault, and every process that goes on with one, draws 128 random bits and derives a key of its own
from them (HKDF-SHA256, RFC 5869), under which it counts from 0. Nothing has to be remembered, and a copy that lives on
beside its original draws other bits. What cannot be told from here is a machine whose memory was copied while it ran.

The data key is stored wrapped by a key-encryption key, see ``keys``; to change either loses nothing.
"""

import hmac
import os
import secrets
import threading
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from acclimate_shared.errors import CorruptStateError

KEY_BYTES = 32
SALT_BYTES = 16
COUNTER_BYTES = 8
NONCE_BYTES = 12
MOST_MESSAGES = 2**31  # under one derived key; then another is drawn
MOST_SESSIONS = 64  # derived keys of earlier vaults that are kept for reading
OVERHEAD = SALT_BYTES + COUNTER_BYTES + 16  # bytes that sealing adds

Draw = Callable[[int], bytes]


def derived(key: bytes, salt: bytes, purpose: str) -> bytes:
    """Return a key of its own for a purpose (HKDF-SHA256, RFC 5869), 32 bytes."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=f"acclimate {purpose}".encode()).derive(key)


class Vault:
    """Seals and opens the records of one state folder."""

    def __init__(
        self, data_key: bytes, owner: str, *, draw: Draw = secrets.token_bytes, most: int = MOST_MESSAGES
    ) -> None:
        """Start a session.

        Args:
            data_key: 32 secret bytes.
            owner: id of the state folder; part of every place.
            draw: source of random bytes.
            most: messages under one derived key.
        """
        self._key, self._owner, self._draw, self._most = data_key, owner, draw, most
        self._digest_key = derived(data_key, b"", "digests")
        self._ciphers: dict[bytes, AESGCM] = {}
        self._lock = threading.Lock()
        self._renew()

    def _renew(self) -> None:
        self._salt, self._count, self._process = self._draw(SALT_BYTES), 0, os.getpid()
        self._cipher = self._derive(self._salt)

    def _derive(self, salt: bytes) -> AESGCM:
        return AESGCM(derived(self._key, salt, "records"))

    def _bound(self, place: str) -> bytes:
        return f"acclimate 1\0{self._owner}\0{place}".encode()

    def seal(self, place: str, data: bytes) -> bytes:
        """Return ``data`` encrypted: salt, count, ciphertext and tag. Threads may call this at once.

        Args:
            place: where it will stand; the same is needed to open it.
            data: any bytes.
        """
        with self._lock:
            if self._count >= self._most or self._process != os.getpid():
                self._renew()
            salt, count, cipher = self._salt, self._count, self._cipher
            self._count += 1
        sealed = cipher.encrypt(count.to_bytes(NONCE_BYTES, "big"), data, self._bound(place))
        return salt + count.to_bytes(COUNTER_BYTES, "big") + sealed

    def open(self, place: str, sealed: bytes) -> bytes:
        """Return what was sealed for a place.

        Raises:
            CorruptStateError: it is damaged, or was sealed for another place, folder or key.
        """
        salt, rest = sealed[:SALT_BYTES], sealed[SALT_BYTES:]
        count, body = rest[:COUNTER_BYTES], rest[COUNTER_BYTES:]
        try:
            return self._reader(salt).decrypt(count.rjust(NONCE_BYTES, b"\0"), body, self._bound(place))
        except (InvalidTag, ValueError) as exc:
            raise CorruptStateError(
                "a record is damaged", field=place, remedy="restore the folder from a copy"
            ) from exc

    def _reader(self, salt: bytes) -> AESGCM:
        with self._lock:
            cipher = self._ciphers.pop(salt, None) or self._derive(salt)
            self._ciphers[salt] = cipher
            if len(self._ciphers) > MOST_SESSIONS:
                self._ciphers.pop(next(iter(self._ciphers)))
            return cipher

    def digest(self, data: bytes) -> str:
        """Return what addresses content: HMAC-SHA256 under a key of its own, 64 hex digits."""
        return hmac.digest(self._digest_key, data, "sha256").hex()


def wrap(wrapping_key: bytes, data_key: bytes, owner: str, *, draw: Draw = secrets.token_bytes) -> bytes:
    """Return a data key encrypted under a wrapping key, with a derived key that is used this once."""
    salt = draw(KEY_BYTES)
    cipher = AESGCM(derived(wrapping_key, salt, "wrapping"))
    return salt + cipher.encrypt(bytes(NONCE_BYTES), data_key, f"acclimate 1\0{owner}\0data key".encode())


def unwrap(wrapping_key: bytes, wrapped: bytes, owner: str) -> bytes:
    """Return a data key.

    Raises:
        CorruptStateError: another key wrapped it, or it is damaged.
    """
    salt, body = wrapped[:KEY_BYTES], wrapped[KEY_BYTES:]
    try:
        cipher = AESGCM(derived(wrapping_key, salt, "wrapping"))
        return cipher.decrypt(bytes(NONCE_BYTES), body, f"acclimate 1\0{owner}\0data key".encode())
    except (InvalidTag, ValueError) as exc:
        raise CorruptStateError(
            "the data key does not open", field="key", remedy="give the key it was made with"
        ) from exc
