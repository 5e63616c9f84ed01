"""The parts of a simulation: killed and started again, and who is in which wave."""

import sys
from pathlib import Path

import pytest

from acclimate_hub.one_machine import Part, even_salt
from acclimate_hub.simulate import PLAN
from acclimate_shared.waves import in_wave
from tests.hub.servers import wait_until


@pytest.mark.parametrize(("devices", "expected"), [(2, 2), (5, 2), (40, 10), (300, 75)])
def test_every_wave_has_the_devices_that_it_needs(devices: int, expected: int) -> None:
    names = [f"sim-{at:05d}" for at in range(devices)]
    salt = even_salt(names, PLAN)
    assert [sum(in_wave(salt, name, wave.percent) for name in names) for wave in PLAN.waves] == [
        devices,
        expected,
        devices,
    ]


def test_a_part_may_be_killed_and_started_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Part([sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"], log) as part:
        wait_until(lambda: log.read_text() == "here\n")
        first = part.pid
        part.kill()
        part.start()
        wait_until(lambda: log.read_text() == "here\nhere\n")
        assert part.pid not in {0, first}
    assert part.process is not None
    assert part.process.poll() is not None
