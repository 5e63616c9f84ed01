"""Commands about devices and cohorts, and their metrics; each is one call of the API."""

import time
from typing import Any

import click

from acclimate_hub.cli_access import DEVICES, Settings, as_json, columns, done, list_items, part, post, show
from acclimate_hub.limits import DAY_S

_BUCKETS = columns("start_s", "mean", "weight", "least", "most", "devices")


def _series(settings: Settings, path: str, days: float, *, json: bool, **query: object) -> None:
    with settings.client() as api:
        found = api.get(path, start_s=max(time.time() - days * DAY_S, 0.0), **query)
        show(found, lambda answer: _BUCKETS(answer["buckets"]), as_json=json)


def _measured(command: Any) -> Any:  # noqa: ANN401 - click's
    for add in (
        as_json,
        click.option("--days", type=click.FloatRange(min=0, min_open=True), default=7.0, show_default=True),
        click.option("--width", "width_s", type=click.Choice(["300", "3600"]), default="3600", show_default=True,
                     help="Of a bucket, seconds."),
        click.option("--subject", default="", help="A candidate; default: the device itself."),
        click.argument("measure"),
    ):  # fmt: skip
        command = add(command)
    return command


@click.group()
def device() -> None:
    """Devices: who is there, and who is shut out."""


@device.command("list")
@click.option("--cohort", help="Of this cohort alone.")
@as_json
@click.pass_obj
def list_devices(settings: Settings, cohort: str | None, *, as_json: bool) -> None:
    """List devices: cohort, whether they are online, when they were heard, what they run.

    \b
    Examples:
      acclimate-hub device list
      acclimate-hub --hub https://hub.example --token-file token device list --cohort shop-3 --json
    """  # noqa: D301
    with settings.client() as api:
        show(list(api.items("/devices", cohort=cohort)), DEVICES, as_json=as_json)


@device.command("show")
@click.argument("name")
@as_json
@click.pass_obj
def show_device(settings: Settings, name: str, *, as_json: bool) -> None:
    """Show a device; with --json also the state that it last reported."""
    with settings.client() as api:
        show(api.get(f"/devices/{part(name)}"), _facts, as_json=as_json)


@device.command("revoke")
@click.argument("name")
@as_json
@click.pass_obj
def revoke_device(settings: Settings, name: str, *, as_json: bool) -> None:
    """Shut a device out: its messages are discarded from now on.

    \b
    Example:
      acclimate-hub device revoke gw-1
    """  # noqa: D301
    post(settings, f"/devices/{part(name)}/revoke", json=as_json)


@device.command("readmit")
@click.argument("name")
@as_json
@click.pass_obj
def readmit_device(settings: Settings, name: str, *, as_json: bool) -> None:
    """Let a device that was shut out, or has lost its key, enrol again with a claim token."""
    post(settings, f"/devices/{part(name)}/readmit", json=as_json)


@device.command("move")
@click.argument("name")
@click.argument("cohort")
@as_json
@click.pass_obj
def move_device(settings: Settings, name: str, cohort: str, *, as_json: bool) -> None:
    """Put a device into another cohort.

    \b
    Example:
      acclimate-hub device move gw-1 shop-3
    """  # noqa: D301
    with settings.client() as api:
        show(api.send("PUT", f"/devices/{part(name)}/cohort", {"cohort": cohort}), done, as_json=as_json)


@device.command("metrics")
@click.argument("name")
@_measured
@click.pass_obj
def device_metrics(settings: Settings, /, name: str, days: float, *, as_json: bool, **query: str) -> None:
    """Show one MEASURE of a device over time.

    \b
    Example:
      acclimate-hub device metrics gw-1 accuracy --days 2
    """  # noqa: D301
    _series(settings, f"/devices/{part(name)}/metrics", days, json=as_json, **query)


@click.group()
def cohort() -> None:
    """Cohorts: devices that belong together; less critical ones come first in a rollout."""


@cohort.command("list")
@as_json
@click.pass_obj
def list_cohorts(settings: Settings, *, as_json: bool) -> None:
    """List cohorts."""
    list_items(settings, "/cohorts", "cohort", "criticality", json=as_json)


@cohort.command("create")
@click.argument("name")
@click.option("--criticality", type=click.IntRange(0, 100), default=0, show_default=True)
@as_json
@click.pass_obj
def create_cohort(settings: Settings, name: str, criticality: int, *, as_json: bool) -> None:
    """Make a cohort.

    \b
    Example:
      acclimate-hub cohort create shop-3 --criticality 2
    """  # noqa: D301
    with settings.client() as api:
        made = api.send("POST", "/cohorts", {"cohort": name, "criticality": criticality})
        show(made, lambda answer: [f"cohort {answer['cohort']} is made"], as_json=as_json)


@cohort.command("metrics")
@click.argument("name")
@_measured
@click.pass_obj
def cohort_metrics(settings: Settings, /, name: str, days: float, *, as_json: bool, **query: str) -> None:
    """Show one MEASURE of a cohort over time, where enough of its devices reported it."""
    _series(settings, f"/cohorts/{part(name)}/metrics", days, json=as_json, **query)


def _facts(answer: dict[str, Any]) -> list[str]:
    return [f"{name}: {value}" for name, value in answer.items() if name != "reported"]
