"""What Mosquitto needs to enforce who may say what: a configuration and a file of access rules, as texts.

Everybody shows a certificate of the tenant's authority, and its common name is who they are. A device writes only below
its own ``d/{id}/`` and reads only what is for it or for all; the claim credential, shared by devices that have no
certificate yet, may do nothing but ask to be enrolled; the hub does the rest. One configuration serves one tenant.

A client's id is its common name too, so that nobody can push another off the broker; the hub has a listener of its own,
where it may take the id of a device that was revoked and so end its connection.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from acclimate_hub.identity.authority import CLAIM, HUB
from acclimate_shared.messages.topics import ROOT

MAX_PACKET_BYTES = 160 * 1024  # a chunk of 64 KiB or the largest signed metadata, with room
CONFIG, RULES = "mosquitto.conf", "mosquitto.acl"
LISTEN = "0.0.0.0"  # noqa: S104 - devices are elsewhere; a certificate is required
PORT, HUB_PORT = 8883, 8884
FILES = ("ca.crt", "broker.crt", "broker.key", "revoked.crl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a broker listens and where its files are; port 0 is no listener for the hub."""

    tenant: str
    folder: PurePosixPath
    host: str = LISTEN
    port: int = PORT
    hub_host: str = "127.0.0.1"
    hub_port: int = HUB_PORT


def mosquitto(broker: Broker) -> dict[str, str]:
    """Return the texts of the files by name; certificates, keys and the list of revoked ones go beside them."""
    return {CONFIG: _config(broker), RULES: _rules(broker.tenant)}


def _config(broker: Broker) -> str:
    lines = [
        "# Written by acclimate-hub broker-config; changes are lost.",
        "per_listener_settings false",
        "allow_anonymous false",
        f"acl_file {broker.folder / RULES}",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "max_keepalive 600",
        "persistent_client_expiration 1d",
        "log_dest stderr",
        *_listener(broker, broker.port, broker.host),
        "use_username_as_clientid true",
    ]
    if broker.hub_port:
        lines += _listener(broker, broker.hub_port, broker.hub_host)
    return "\n".join(lines) + "\n"


def _listener(broker: Broker, port: int, host: str) -> list[str]:
    ca, certificate, key, revoked = (broker.folder / name for name in FILES)
    return [
        "",
        f"listener {port} {host}",
        f"cafile {ca}",
        f"certfile {certificate}",
        f"keyfile {key}",
        f"crlfile {revoked}",
        "require_certificate true",
        "use_identity_as_username true",
        "tls_version tlsv1.2",
    ]


def _rules(tenant: str) -> str:
    root = f"{ROOT}/{tenant}"
    hub = [f"topic readwrite {root}/#"]
    claim = [f"topic write {root}/enrol/req/+", f"topic read {root}/enrol/rsp/+"]
    # Patterns are for everybody; what is denied to a user comes before them.
    claim += [f"topic deny {root}/{what}/#" for what in ("d", "c", "b", "tuf")]
    own = [f"pattern write {root}/d/%u/{what}" for what in ("state", "up/+")]
    own += [f"pattern read {root}/d/%u/{what}" for what in ("ack", "cmd", "rx/+")]
    shared = [f"pattern read {root}/{what}" for what in ("c/+/desired", "b/+/meta", "b/+/c", "tuf/+")]
    shared.append(f"pattern write {root}/b/+/want/+")
    parts = [
        "# Written by acclimate-hub broker-config; changes are lost.",
        f"user {HUB}",
        *hub,
        "",
        f"user {CLAIM}",
        *claim,
        "",
        *own,
        *shared,
    ]
    return "\n".join(parts) + "\n"
