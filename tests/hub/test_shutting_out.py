"""A device that is revoked is out within a minute, by the hub alone; the others notice nothing."""

import asyncio
import signal
import threading
from pathlib import Path

import pytest

from acclimate_hub import limits
from acclimate_hub.broker import Link, evict
from acclimate_hub.hub import Hub
from acclimate_hub.identity import enrolment
from acclimate_hub.shutting_out import LIST, TIMES, ShuttingOut
from acclimate_hub.store.database import Database
from acclimate_shared.messages.topics import Kind, build
from tests.hub.conftest import NOW
from tests.hub.identity.test_broker import _refused
from tests.hub.servers import wait_until
from tests.hub.site import issue, join, started


@pytest.mark.slow
def test_a_revoked_device_is_out_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SHUT_OUT_EVERY_S", 0.2)
    with started(tmp_path) as site, join(site, "gw-3") as device, join(site, "gw-1") as other:
        ca, certificate, key = site.files("hub")
        link = Link(host="localhost", port=site.hub_port, ca=ca, certificate=certificate, key=key)
        reload = f"kill -{signal.SIGHUP.value} {site.process.pid}"
        shutting_out = ShuttingOut(site.hub, "main", site.folder, reload)
        loop, taken = asyncio.new_event_loop(), list[str]()

        async def take(name: str) -> None:
            await evict(link, name)
            taken.append(name)

        task = loop.create_task(shutting_out.run(take))
        thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
        thread.start()
        try:
            with site.hub.database.write() as rows:
                enrolment.revoke(rows, "main", "gw-3", "cli", site.hub.now())
            wait_until(lambda: device.disconnected > 0)
            wait_until(lambda: _refused(site, "gw-3"))
            other.publish(build("main", Kind.STATE, device="gw-1"), b"others go on")
            assert other.disconnected == 0
            wait_until(lambda: taken == ["gw-3"] * TIMES)
        finally:
            loop.call_soon_threadsafe(task.cancel)
            thread.join()
            loop.close()


def test_each_is_shut_out_a_few_times_and_the_list_never_expires(empty: Database, tmp_path: Path) -> None:
    now, told = [NOW], tmp_path / "told"
    hub = Hub(empty, b"secret", lambda: now[0])
    hub.create_tenant("main", "cli")
    issue(hub, tmp_path, "gw-1")
    issue(hub, tmp_path, "gw-2")
    shutting_out = ShuttingOut(hub, "main", tmp_path, f"cp {tmp_path / LIST} {told}")
    assert shutting_out.step() == []
    first = (tmp_path / LIST).read_bytes()
    assert told.read_bytes() == first
    assert shutting_out.step() == []
    with empty.write() as rows:
        enrolment.revoke(rows, "main", "gw-1", "cli", now[0])
    assert [shutting_out.step() for _ in range(TIMES + 1)] == [["gw-1"]] * TIMES + [[]]
    second = told.read_bytes()
    assert second != first
    now[0] += limits.CRL_S / 2 + 1
    assert shutting_out.step() == []
    assert told.read_bytes() != second
    assert ShuttingOut(hub, "main", tmp_path).step() == []  # long ago
    assert (tmp_path / LIST).stat().st_mode & 0o077 == 0o044


def test_a_device_that_was_let_in_again_is_not_shut_out(empty: Database, tmp_path: Path) -> None:
    hub = Hub(empty, b"secret", lambda: NOW)
    hub.create_tenant("main", "cli")
    issue(hub, tmp_path, "gw-1")
    with empty.write() as rows:
        enrolment.revoke(rows, "main", "gw-1", "cli", NOW)
        enrolment.readmit(rows, "main", "gw-1", "cli", NOW)
    issue(hub, tmp_path, "gw-1")
    assert ShuttingOut(hub, "main", tmp_path, "no-such-command").step() == []
