"""The hub as an object: a database, the secret that opens the authorities' keys, a clock; what the shell calls.

Example:
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> hub = Hub.create(f"sqlite:///{folder.name}/hub.db", Path(folder.name) / "secret", lambda: 1.7e9)
    >>> hub.create_tenant("main", "cli")
    >>> hub.authority("main").tenant, hub.authority("main") is hub.authority("main")
    ('main', True)
    >>> hub.close(); folder.cleanup()
"""

import os
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from acclimate_hub.identity import enrolment
from acclimate_hub.identity.authority import BROKER, CLAIM, HUB, Authority, Service
from acclimate_hub.identity.broker_config import Broker, mosquitto
from acclimate_hub.releases.shelf import Shelf
from acclimate_hub.rollout import Rollouts
from acclimate_hub.store import audit, tenants
from acclimate_hub.store.database import Database
from acclimate_hub.store.rollouts import SqlRollouts
from acclimate_shared.errors import StateError, UsageError
from acclimate_shared.messages.topics import Kind, subscription

SECRET_BYTES = 32

Clock = Callable[[], float]


class Hub:
    """One hub process's view of the fleet."""

    def __init__(self, database: Database, secret: bytes, now: Clock) -> None:
        """Use an open database, the secret and a clock (seconds since 1970)."""
        self.database, self.now = database, now
        self._secret = secret
        self._authorities: dict[str, Authority] = {}
        self._shelves: dict[tuple[str, Path, str], Shelf] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, url: str, secret_file: Path, now: Clock) -> "Hub":
        """Open a hub that is there.

        Raises:
            StateError: the secret cannot be read, or ``init`` was never run.
            UsageError: the URL makes no sense.
        """
        database = Database.open(url)
        try:
            secret = secret_file.read_bytes()
        except OSError as exc:
            remedy = "run acclimate-hub init, or name the right file"
            raise StateError(
                "the secret cannot be read", field="secret", value=str(secret_file), remedy=remedy
            ) from exc
        database.migrate()
        return cls(database, secret, now)

    @classmethod
    def create(cls, url: str, secret_file: Path, now: Clock) -> "Hub":
        """Make the tables and the secret where they are not there yet, then open.

        Raises:
            StateError: the secret cannot be written.
            UsageError: the URL makes no sense.
        """
        try:
            secret_file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls.open(url, secret_file, now)
        except OSError as exc:
            raise StateError("the secret cannot be written", field="secret", value=str(secret_file)) from exc
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(SECRET_BYTES).encode())
        return cls.open(url, secret_file, now)

    def create_tenant(self, tenant: str, actor: str) -> None:
        """Add a tenant with an authority of its own.

        Raises:
            UsageError: the name cannot be in a topic.
            ConflictError: it is there already.
        """
        subscription(tenant, Kind.UP)
        now_s = self.now()
        authority = Authority.create(tenant, now_s)
        sealed = authority.sealed_key(self._secret)
        row = tenants.Tenant(tenant=tenant, ca_certificate=authority.certificate, ca_key=sealed)
        with self.database.write() as connection:
            tenants.create(connection, row, now_s)
            act = audit.Act(actor=actor, action="tenant.create", object=tenant, detail={})
            audit.record(connection, tenant, act, now_s)

    def authority(self, tenant: str) -> Authority:
        """Return the authority of a tenant.

        Raises:
            MissingError: there is no such tenant.
            StateError: the secret is another one.
        """
        with self._lock:
            if tenant not in self._authorities:
                with self.database.read() as connection:
                    row = tenants.get(connection, tenant)
                loaded = Authority.load(tenant, row.ca_certificate, row.ca_key, self._secret)
                self._authorities[tenant] = loaded
            return self._authorities[tenant]

    def shelf(self, tenant: str, folder: Path, blobs: str = "") -> Shelf:
        """Return the releases of a tenant: the same object to everybody in this process.

        Args:
            tenant: whose.
            folder: of the hub's data.
            blobs: URL of the bundles; "" for that folder.

        Raises:
            UsageError: the keys are of another secret, or the URL makes no sense.
            StateError: the disk refuses.
        """
        with self._lock:
            if (tenant, folder, blobs) not in self._shelves:
                shelf = Shelf(folder / "releases" / tenant, self._secret, self.now, blobs)
                self._shelves[tenant, folder, blobs] = shelf
            return self._shelves[tenant, folder, blobs]

    def rollouts(self, tenant: str) -> Rollouts:
        """Return the rollouts of a tenant, as rows of the database."""
        return Rollouts(SqlRollouts(self.database, tenant), self.now)

    def revocation_list(self, tenant: str) -> str:
        """Return the list of revoked certificates as PEM.

        Raises:
            MissingError: there is no such tenant.
        """
        authority = self.authority(tenant)
        with self.database.write() as connection:
            return enrolment.revocation_list(connection, authority, self.now())

    def write_broker(self, broker: Broker, folder: Path, hosts: Sequence[str], actor: str) -> list[Path]:
        """Write everything that a broker, the hub at it and a new device need; keys only for their owner's eyes.

        Args:
            broker: where it listens, and where it will find the files.
            folder: where they are written.
            hosts: names and addresses by which clients reach the broker.
            actor: for the audit log.

        Returns:
            The files, certificates of the hub (``hub.*``) and of claims (``claim.*``) among them.

        Raises:
            UsageError: there are no hosts.
            StateError: a file cannot be written.
            MissingError: there is no such tenant.
        """
        if not hosts:
            raise UsageError("a broker has a name", field="host", remedy="give the name that devices connect to")
        authority, now_s = self.authority(broker.tenant), self.now()
        texts = mosquitto(broker) | {
            "ca.crt": authority.certificate,
            "revoked.crl": self.revocation_list(broker.tenant),
        }
        services = {"broker": authority.service(BROKER, now_s, hosts)}
        services |= {"hub": authority.service(HUB, now_s), "claim": authority.service(CLAIM, now_s)}
        for name, service in services.items():
            texts |= {f"{name}.crt": service.certificate.pem, f"{name}.key": service.key}
        self._audit_services(broker.tenant, services, actor)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return [_write(folder / name, text) for name, text in sorted(texts.items())]
        except OSError as exc:
            raise StateError(f"a file cannot be written: {exc}", field="folder", value=str(folder)) from exc

    def _audit_services(self, tenant: str, services: dict[str, Service], actor: str) -> None:
        serials = {name: service.certificate.serial for name, service in services.items()}
        with self.database.write() as connection:
            act = audit.Act(actor=actor, action="broker.configure", object=tenant, detail=serials)
            audit.record(connection, tenant, act, self.now())

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def _write(path: Path, text: str) -> Path:
    """Replace a file at once; keys are readable for their owner alone."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    mode = 0o600 if path.suffix == ".key" else 0o644
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
        file.write(text)
    part.replace(path)
    return path
