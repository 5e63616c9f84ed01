from functools import partial
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from acclimate_hub.api.app import create
from acclimate_hub.hub import Hub
from acclimate_hub.identity import api_tokens
from acclimate_hub.ingest import Ingest
from acclimate_hub.limits import Retention
from acclimate_hub.store import devices
from acclimate_hub.store.database import Database
from tests.hub.conftest import NOW


class Site:
    """A hub, its application, and tokens of every scope of two tenants."""

    def __init__(self, database: Database, folder: Path | None = None) -> None:
        self.now_s = NOW
        self.hub = Hub(database, b"secret", lambda: self.now_s)
        self.ingest = Ingest(self.hub, Retention())
        shelves = partial(self.hub.shelf, folder=folder) if folder else None
        self.app = create(self.hub, ingest=self.ingest, least_devices=3, shelves=shelves)
        self.tokens: dict[str, str] = {}
        for tenant in ("main", "other"):
            self.hub.create_tenant(tenant, "cli")
            with database.write() as connection:
                for scope in ("viewer", "operator", "releaser", "admin"):
                    wish = api_tokens.Wish(name=scope, scope=scope, expires_s=NOW + 1e6)
                    made = api_tokens.create(connection, tenant, wish, "cli", NOW)
                    self.tokens[f"{tenant}:{scope}"] = made.text
                for at in range(1, 6):
                    devices.create(connection, tenant, f"{tenant[0]}-{at}", "default", NOW)

    def client(self, scope: str = "admin", tenant: str = "main") -> TestClient:
        token = self.tokens[f"{tenant}:{scope}"]
        headers = {"Authorization": f"Bearer {token}"}
        return TestClient(self.app, headers=headers, base_url="http://testserver/api/v1", raise_server_exceptions=True)


@pytest.fixture
def site(sqlite: Database, tmp_path: Path) -> Site:
    return Site(sqlite, tmp_path / "data")
