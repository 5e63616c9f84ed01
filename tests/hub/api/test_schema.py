"""Whatever fits, or does not fit, the description of the API: the answer is one that it declares, and never a crash."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from acclimate_hub.limits import Rate
from tests.hub.api.conftest import Site

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
URL = "/api/v1/openapi.json"
QUICK = settings(
    max_examples=3,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


def models() -> list[type[BaseModel]]:
    from acclimate_hub.api import models

    return [one for one in vars(models).values() if isinstance(one, type) and issubclass(one, BaseModel)]


MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_operation_answers_what_it_declares(site: Site, mode: Any) -> None:
    walk(site, mode, QUICK)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_every_operation_answers_what_it_declares_at_length(site: Site, mode: Any) -> None:
    walk(site, mode, settings(QUICK, max_examples=200))


def walk(site: Site, mode: Any, effort: settings) -> None:
    site.app.state.gate.rates._rate = Rate(burst=10**6, per_s=1.0)
    schema = schemathesis.openapi.from_asgi(URL, site.app)
    headers = {"Authorization": f"Bearer {site.tokens['main:admin']}"}
    count = 0
    for found in schema.get_all_operations():
        assert not isinstance(found, Err)
        operation = found.ok()
        count += 1

        @effort
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        check()
    assert count > 20


def test_every_model_has_an_example_that_fits(site: Site) -> None:
    components = site.app.openapi()["components"]["schemas"]
    own = {one.__name__ for one in models() if one.__name__ not in {"BaseModel", "Page"}}
    assert own <= set(components)
    for one in models():
        for example in (one.model_config.get("json_schema_extra") or {}).get("examples", []):  # type: ignore[union-attr]
            one.model_validate(example)
        assert one.__name__ in {"BaseModel", "Page"} or one.model_config.get("json_schema_extra")


def test_every_operation_says_what_it_does_and_how_it_fails(site: Site) -> None:
    for path, operations in site.app.openapi()["paths"].items():
        for method, operation in operations.items():
            assert operation["description"].endswith("."), (path, method)
            assert {"401", "403", "429", "503"} <= set(operation["responses"]), (path, method)
            assert operation["security"], (path, method)
