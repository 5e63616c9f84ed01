"""The stock runtime can report its usage: show that a process of ours writes no such file and opens no socket."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acclimate_shared.learner import save_package
from tests.graphs import counter

PROGRAM = """
import os, sys, time
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith("socket.") else None)
from pathlib import Path
import numpy as np
{first}
from acclimate_shared.learner import load_package
from acclimate_device.executor import Learner
assert {lazy} == ("onnxruntime" not in sys.modules), "imported too early"
learner = Learner(load_package(Path({package!r})))
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
state = learner.init_state({{"features": 3, "classes": 2}}, 0)
most = 0
for turn in range(20):
    x, y, w = np.ones((4, 3)), np.zeros(4, np.int64), np.ones(4, np.float32)
    learner.predict(state, x)
    state, _, _ = learner.update(state, x, y, w, learner.hyper())
    handles = [f"/proc/self/fd/{{fd}}" for fd in os.listdir("/proc/self/fd")]
    links = [os.readlink(handle) for handle in handles if os.path.lexists(handle)]
    most = max(most, sum(link.startswith("socket:") for link in links))
    time.sleep(0.02)  # an uploader would need a moment
assert not seen, seen
assert most == 0, "a socket is open"
"""


def run(program: str, home: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    env |= {"HOME": str(home), "XDG_CACHE_HOME": "", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("first", ["", "import acclimate_device", "import acclimate_device; import onnxruntime"])
def test_no_file_and_no_socket_whatever_is_imported_first(tmp_path: Path, first: str) -> None:
    save_package(counter(), tmp_path / "package")
    home = tmp_path / "home"
    home.mkdir()
    program = PROGRAM.format(first=first, lazy="onnxruntime" not in first, package=str(tmp_path / "package"))
    run(program, home)
    assert list(home.rglob("*")) == []
