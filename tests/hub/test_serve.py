from pathlib import Path

import pytest
from starlette.testclient import TestClient

from acclimate_hub.hub import Hub
from acclimate_hub.serve import Plan, application
from acclimate_hub.store.database import Database
from acclimate_shared.errors import LinkError, MissingError, UsageError
from tests.hub.conftest import NOW


def plan(folder: Path, *, tenant: str = "main", broker: str = "") -> Plan:
    return Plan(host="127.0.0.1", port=1, tenant=tenant, broker=broker, certificates=folder, least_devices=20)


def test_the_api_is_served_with_a_broker_that_is_away(sqlite: Database, tmp_path: Path) -> None:
    hub = Hub(sqlite, b"secret", lambda: NOW)
    hub.create_tenant("main", "cli")
    for more, error in (
        ({"tenant": "nobody"}, MissingError),
        ({"broker": "localhost"}, UsageError),
        ({"broker": "localhost:x"}, UsageError),
        ({"broker": "localhost:1"}, LinkError),  # the certificates are not there
    ):
        with pytest.raises(error):
            application(hub, plan(tmp_path, **more))
    authority = hub.authority("main")
    service = authority.service("_hub", NOW)
    for name, text in (
        ("ca.crt", authority.certificate),
        ("hub.crt", service.certificate.pem),
        ("hub.key", service.key),
    ):
        (tmp_path / name).write_text(text)
    for broker in ("", "127.0.0.1:1"):
        with TestClient(application(hub, plan(tmp_path, broker=broker))) as client:
            assert client.get("/api/v1/openapi.json").status_code == 200
