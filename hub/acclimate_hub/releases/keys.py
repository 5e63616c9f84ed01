"""Signing keys in files: Ed25519, PKCS#8, encrypted with a passphrase; the public half beside it as JSON.

An author and a hub keep them alike. A key ``NAME`` is two files, ``NAME.pem`` (for the owner alone) and
``NAME.pub.json`` (may be given to anybody). Neither keys nor passphrases appear in errors or logs. The encryption is
what `cryptography` calls its best available (a slow key derivation and AES-256-CBC).
"""

import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from acclimate_shared.errors import UsageError

MIN_PASSPHRASE_CHARS = 8
MAX_FILE_BYTES = 1 << 14
_PUBLIC_BYTES = 32
PRIVATE, PUBLIC = ".pem", ".pub.json"


class _Public(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a public file says; ``public`` has 64 hex digits."""

    keyid: str
    keytype: str
    scheme: str
    public: str


def new_key(path: Path, passphrase: str) -> SSlibKey:
    """Make a key pair and write both files.

    Args:
        path: Folder and name, without an ending.
        passphrase: At least 8 characters.

    Returns:
        The public half.

    Raises:
        UsageError: If the passphrase is too short, or a key of that name is there already.
        OSError: If the disk refuses.
    """
    if len(passphrase) < MIN_PASSPHRASE_CHARS:
        remedy = f"give at least {MIN_PASSPHRASE_CHARS} characters"
        raise UsageError("the passphrase is too short", field="passphrase", remedy=remedy)
    secret, public = _beside(path, PRIVATE), _beside(path, PUBLIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
    key = CryptoSigner(private).public_key
    try:
        # O_EXCL: a key is never overwritten; nor may anybody else read it, not even for a moment.
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise UsageError("there is such a key already", field="key", value=str(path), remedy="name another") from exc
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    public.write_bytes(_encoded(key))
    return key


def load_key(path: Path, passphrase: str) -> CryptoSigner:
    """Read a private key.

    Args:
        path: Folder and name, with or without ``.pem``.
        passphrase: It was encrypted with.

    Returns:
        What signs with it.

    Raises:
        UsageError: If the file is not there, is not such a key, or the passphrase is wrong.
    """
    file = path if path.suffix == PRIVATE else _beside(path, PRIVATE)
    try:
        private = load_pem_private_key(_read(file), passphrase.encode())
    except (
        OSError,
        ValueError,
        TypeError,
    ):  # TypeError: no passphrase, or none needed. Texts could quote: not passed on
        remedy = "check the file and the passphrase; a key must be encrypted"
        raise UsageError("the key cannot be opened", field="key", value=str(file), remedy=remedy) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError("not an Ed25519 key", field="key", value=str(file), remedy="make one with: keys new")
    return CryptoSigner(private)


def load_public(path: Path) -> SSlibKey:
    """Read a public key.

    Args:
        path: Folder and name, with or without ``.pub.json``.

    Raises:
        UsageError: If the file is not there or is not such a key.
    """
    file = path if path.name.endswith(PUBLIC) else _beside(path, PUBLIC)
    try:
        found = msgspec.json.decode(_read(file), type=_Public)
        key = SSlibKey(found.keyid, found.keytype, found.scheme, {"public": found.public})
        genuine = key.keytype == key.scheme == "ed25519" and len(bytes.fromhex(found.public)) == _PUBLIC_BYTES
    except (OSError, msgspec.MsgspecError, ValueError) as exc:
        raise UsageError("not a public key", field="key", value=str(file), remedy="give a .pub.json file") from exc
    if not genuine:
        raise UsageError("not an Ed25519 key", field="key", value=str(file), remedy="make one with: keys new")
    return key


def _encoded(key: SSlibKey) -> bytes:
    public = _Public(keyid=key.keyid, keytype=key.keytype, scheme=key.scheme, public=key.keyval["public"])
    return msgspec.json.format(msgspec.json.encode(public, order="sorted"), indent=2) + b"\n"


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        data = opened.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(file)
    return data
