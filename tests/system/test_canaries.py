"""Canaries: values that were planted in events are nowhere but in the encrypted store, whatever the device did.

A process of its own lives in a sandbox (home, temporary folder, working folder). It learns from events with planted
numbers (the largest of their column), categories, labels, ids, keys and sources; it judges, quarantines, commits,
talks to a hub, is killed, recovers, exports its state and prints what people ask for. Then every byte that was written
is searched, for every way in which the values could be written.
"""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

NUMBER = 7_654_321.125  # a largest value of its column, exact in float32
CATEGORY, LABEL, EVENT, KEY, SOURCE = (
    f"canary-{kind}-4711" for kind in ("category", "label", "event", "key", "source")
)
HIDDEN = (CATEGORY, EVENT, KEY)
ASKED_FOR = (LABEL, SOURCE)  # a person who asks for the classes or the quarantine is shown these

PROGRAM = """
import json, os, sys, logging
from pathlib import Path
logging.basicConfig(level=logging.DEBUG, filename="agent.log")
from acclimate_device.agent import Agent
from acclimate_device.export import export
from acclimate_device.join import Window
from tests.device.sync.test_uplink import World
from tests.device.durability.moments import OPTIONS
number, category, label, event, key, source = json.loads(os.environ["CANARIES"])

def options():
    return OPTIONS | {"key": "who", "state": Path("state"), "window": Window(most_s=1e9, early_s=1e9)}

def events(count, first=0):
    for i in range(first, first + count):
        odd = i % 3 == 0
        features = {"x": number if i == 77 else float(i % 10), "kind": category if odd else "plain", "who": key}
        yield f"{event}-{i}", features, label if odd else "other"

def teach(agent, count, first=0):
    for name, features, truth in events(count, first):
        agent.predict(features, event_id=name)
        agent.feedback(name, "other" if first and truth == label else truth, source=source if odd(name) else "")

def odd(name):
    return int(name.rsplit("-", 1)[1]) % 2 == 1

pid = os.fork()
if pid == 0:
    agent = Agent(**options())
    teach(agent, 150)
    world = World(agent.store, agent)
    world.go(4 * 3600)
    Path("published").write_bytes(b"".join(payload for _, payload, _, _ in world.link.sent))
    teach(agent, 60, 150)
    try:
        agent.feedback("nobody", label)
        agent.predict({"x": "not a number", "kind": category})
    except Exception as exc:
        logging.getLogger("test").error("refused: %s", type(exc).__name__)
    os.kill(os.getpid(), 9)
os.waitpid(pid, 0)
agent = Agent(**options(), background=True)
teach(agent, 40, 210)
agent.predict(next(iter(events(1, 999)))[1], event_id=event + "-waits")
agent.flush()
world = World(agent.store, agent)
world.go(4 * 3600)
with open("published", "ab") as file:
    file.write(b"".join(payload for _, payload, _, _ in world.link.sent))
assert world.link.sent
rows = world.uplink.outbox.size()
learned = agent.status()["learned"]
agent.close()
export(Path("state"), Path("exported"), "a long passphrase")
print(json.dumps({"learned": learned}))
"""


def ways(number: float) -> list[bytes]:
    """Return how a number may be written."""
    packed = [struct.pack(f"{order}{kind}", number) for order in "<>" for kind in "df"]
    return [*packed, repr(number).encode(), str(int(number)).encode(), f"{number:,}".encode(), f"{number:.3e}".encode()]


def sandboxed(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    folders = {name: folder / name for name in ("home", "tmp", "work")}
    for place in folders.values():
        place.mkdir(exist_ok=True)
    canaries = json.dumps([NUMBER, CATEGORY, LABEL, EVENT, KEY, SOURCE])
    env = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    env |= {"HOME": str(folders["home"]), "TMPDIR": str(folders["tmp"]), "XDG_CACHE_HOME": "", "CANARIES": canaries}
    env |= {"PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, *command], env=env, cwd=folders["work"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_nothing_of_an_event_is_written_outside_the_encrypted_store(tmp_path: Path) -> None:
    done = sandboxed(tmp_path, "-c", PROGRAM)
    assert json.loads(done.stdout.splitlines()[-1])["learned"] >= 200
    asked = [
        sandboxed(tmp_path, "-m", "acclimate_device.cli", *words).stdout
        for words in (
            ("status", "state"), ("contest", "state"), ("lineage", "state"), ("quarantine", "list", "state"),
            ("privacy", "state", "--json"), ("inspect", "softmax-classification"),
        )
    ]  # fmt: skip
    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(name.endswith("acclimate.db") for name in written)
    assert written["work/published"]
    written |= {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    written |= {f"asked {at}": text.encode() for at, text in enumerate(asked)}
    for name, data in written.items():
        for canary in [*(text.encode() for text in HIDDEN), *ways(NUMBER)]:
            assert canary not in data, (name, canary)
        if not name.startswith("asked"):
            for text in ASKED_FOR:
                assert text.encode() not in data, (name, text)
    assert LABEL in asked[0]  # what a person asks for is told: the search can find something


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "leak").write_bytes(b"..." + struct.pack("<d", NUMBER) + CATEGORY.encode())
    data = (tmp_path / "leak").read_bytes()
    assert any(way in data for way in ways(NUMBER))
    assert CATEGORY.encode() in data
