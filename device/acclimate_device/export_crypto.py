"""How an exported state is sealed and signed, over bytes alone.

The key comes from a passphrase by scrypt (RFC 7914), the body is sealed with AES-256-GCM, and header and body together
are signed with Ed25519 (RFC 8032), so that the receiver knows both that nobody changed the file and who wrote it.
"""

import hashlib
import secrets

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from acclimate_shared.errors import CorruptStateError, UsageError

SALT_BYTES, NONCE_BYTES, KEY_BYTES = 16, 12, 32
PUBLIC_BYTES, SIGNATURE_BYTES = 32, 64
COST, BLOCK, PARALLEL = 2**15, 8, 1  # of scrypt: 32 MiB, about a tenth of a second
LEAST_PASSPHRASE = 12  # characters


def new_signer() -> bytes:
    """Return a new signing key, 32 secret bytes."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_of(signer: bytes) -> bytes:
    """Return the public key of a signing key, 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(signer).public_key().public_bytes_raw()


def fingerprint(public: bytes) -> str:
    """Return what people compare: 32 hex digits of the SHA-256 of a public key."""
    return hashlib.sha256(public).hexdigest()[:32]


def _key(passphrase: str, salt: bytes) -> bytes:
    if len(passphrase) < LEAST_PASSPHRASE:
        remedy = f"use at least {LEAST_PASSPHRASE} characters: the file may be copied and tried for years"
        raise UsageError("the passphrase is too short", field="passphrase", remedy=remedy)
    return Scrypt(salt=salt, length=KEY_BYTES, n=COST, r=BLOCK, p=PARALLEL).derive(passphrase.encode())


def sealed(body: bytes, *, magic: bytes, passphrase: str, signer: bytes) -> bytes:
    """Return a whole file: magic, public key, salt, nonce, sealed body, signature of all that.

    Raises:
        UsageError: the passphrase is too short.
    """
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    head = magic + public_of(signer) + salt + nonce
    data = head + AESGCM(_key(passphrase, salt)).encrypt(nonce, body, head)
    return data + Ed25519PrivateKey.from_private_bytes(signer).sign(data)


def opened(data: bytes, *, magic: bytes, passphrase: str, wanted: str | None) -> tuple[bytes, str]:
    """Return the body of a file and the fingerprint of who signed it; nothing is parsed before both are checked.

    Args:
        data: from ``sealed``.
        magic: that it begins with.
        passphrase: the same as then.
        wanted: fingerprint that the signer must have; None for any.

    Raises:
        CorruptStateError: this is no such file, it was changed, or the passphrase is another one.
        UsageError: somebody else signed it.
    """
    ends = [len(magic), PUBLIC_BYTES, SALT_BYTES, NONCE_BYTES]
    places = [sum(ends[: at + 1]) for at in range(len(ends))]
    if not data.startswith(magic) or len(data) < places[-1] + 16 + SIGNATURE_BYTES:
        raise CorruptStateError("this is no exported state", field="file", remedy="give what `acclimate export` wrote")
    signed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    public = data[places[0] : places[1]]
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    except (InvalidSignature, ValueError) as exc:
        raise CorruptStateError(
            "the file was changed after it was signed", field="file", remedy="copy it anew"
        ) from exc
    who = fingerprint(public)
    if wanted is not None and who != wanted.lower():
        remedy = "ask its owner for the fingerprint that `acclimate export` printed"
        raise UsageError("somebody else signed this file", field="signer", value=who, remedy=remedy)
    salt, nonce = data[places[1] : places[2]], data[places[2] : places[3]]
    try:
        return AESGCM(_key(passphrase, salt)).decrypt(nonce, signed[places[3] :], signed[: places[3]]), who
    except InvalidTag as exc:
        raise CorruptStateError("the file does not open", field="passphrase", remedy="check the passphrase") from exc
