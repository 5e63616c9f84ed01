"""Canaries: values that were planted in events are nowhere but in the encrypted store, whatever the device did.

A process of its own lives in a sandbox (home, temporary folder, working folder). It learns from events with planted
numbers (the largest of their column), categories, labels, ids, keys and sources; it judges, quarantines, commits,
talks to a hub, is killed, recovers, exports its state and prints what people ask for. Then every byte that was written
is searched, for every way in which the values could be written.
"""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

NUMBER = 7_654_321.125  # a largest value of its column, exact in float32
CATEGORY, LABEL, EVENT, KEY, SOURCE, COLUMN, WORDS = (
    f"canary-{kind}-4711" for kind in ("category", "label", "event", "key", "source", "column", "words")
)
HIDDEN = (CATEGORY, EVENT, KEY)
ASKED_FOR = (LABEL, SOURCE, COLUMN, WORDS)  # who asks for classes, quarantine, lineage or privacy is shown these

PROGRAM = """
import json, os, sys, logging
from pathlib import Path
logging.basicConfig(level=logging.DEBUG, filename="agent.log")
from acclimate_device.agent import Agent
from acclimate_device.control import add_inputs
from acclimate_device.export import export
from acclimate_device.forget import forget
from acclimate_device.learning import tend
from acclimate_device.slots import Bases
from acclimate_shared.constraints import Constraints, Feature, edges_of
from acclimate_shared.learner import load_package
from acclimate_shared.messages.up import Metrics
from tests.device.test_outside import STANDARD
from acclimate_device.join import Window
from tests.device.sync.test_uplink import World
from tests.device.durability.moments import OPTIONS
number, category, label, event, key, source, column, words = json.loads(os.environ["CANARIES"])

def options():
    return OPTIONS | {"key": "who", "state": Path("state"), "window": Window(most_s=1e9, early_s=1e9)}

def events(count, first=0):
    for i in range(first, first + count):
        odd = i % 3 == 0
        features = {column: number if i == 77 else float(i % 10), "kind": category if odd else "plain", "who": key}
        yield f"{event}-{i}", features, label if odd else "other"

def teach(agent, count, first=0):
    for name, features, truth in events(count, first):
        agent.predict(features, event_id=name)
        agent.feedback(name, "other" if first and truth == label else truth, source=source if odd(name) else "")

def odd(name):
    return int(name.rsplit("-", 1)[1]) % 2 == 1

loads = Feature(name=column, kind="number", edges=edges_of((2.0, 5.0)))
needs = Constraints(features=(loads,), memory_mib=1, agent="0.1.0")
pump = load_package(STANDARD / "mlp-regression")
Bases(Path("state")).install("2" * 64, pump, model="pump", version="0.9", needs=needs)
pid = os.fork()
if pid == 0:
    agent = Agent(**options())
    teach(agent, 150)
    world = World(agent.store, agent)
    world.go(4 * 3600)
    Path("published").write_bytes(b"".join(payload for _, payload, _, _ in world.link.sent))
    teach(agent, 60, 150)
    world.go(3600)
    bodies = [body for body in world.hub.bodies if isinstance(body, Metrics)]
    counted = [one for body in bodies for one in body.features]
    Path("counted").write_text(str(sum(sum(one.counts) for one in counted)))
    with open("published", "ab") as file:
        file.write(b"".join(payload for _, payload, _, _ in world.link.sent))
    try:
        agent.feedback("nobody", label)
        agent.predict({column: "not a number", "kind": category})
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
Bases(Path("state")).install("1" * 64, pump, model="pump", version="1.0")
bases = Bases(Path("state"))
agent = Agent(**options(), bases=bases.begin())  # it does not fit
tend(agent, bases)
assert bases.read().other.state == "failed"
agent.close()
forget(Path("state"), source, who="ann", why=words)
add_inputs(Path("state"), [column + "-2"], who="ann", why=words)
print(json.dumps({"learned": learned}))
"""


def ways(number: float) -> list[bytes]:
    """Return how a number may be written."""
    packed = [struct.pack(f"{order}{kind}", number) for order in "<>" for kind in "df"]
    return [*packed, repr(number).encode(), str(int(number)).encode(), f"{number:,}".encode(), f"{number:.3e}".encode()]


def sandboxed(
    folder: Path, *command: str, stdin: IO[str] | None = None, more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    folders = {name: folder / name for name in ("home", "tmp", "work")}
    for place in folders.values():
        place.mkdir(exist_ok=True)
    canaries = json.dumps([NUMBER, CATEGORY, LABEL, EVENT, KEY, SOURCE, COLUMN, WORDS])
    env = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    env |= {"HOME": str(folders["home"]), "TMPDIR": str(folders["tmp"]), "XDG_CACHE_HOME": "", "CANARIES": canaries}
    env |= {"PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)}
    env |= more or {}
    done = subprocess.run(
        [sys.executable, *command],
        env=env,
        cwd=folders["work"],
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
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
    assert int(written["work/counted"]) >= 60  # over declared bins, the largest value among them
    written |= {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    written |= {f"asked {at}": text.encode() for at, text in enumerate(asked)}
    for name, data in written.items():
        for canary in [*(text.encode() for text in HIDDEN), *ways(NUMBER)]:
            assert canary not in data, (name, canary)
        released = name.endswith("constraints.json")  # names its columns: an author has published it
        if not name.startswith("asked"):
            for text in ASKED_FOR:
                assert text.encode() not in data or (released and text == COLUMN), (name, text)
    assert LABEL in asked[0]  # what a person asks for is told: the search can find something
    assert all(word in asked[2] for word in (SOURCE, COLUMN, WORDS))


RULE = """
kind = "crossing"
column = "canary-column-4711"
span_s = 2
threshold = 5.0
"""


def rows(count: int, *, labelled: bool) -> list[dict[str, object]]:
    """Return events with canaries, some of which cannot be used for what they hold."""
    found: list[dict[str, object]] = []
    for i in range(count):
        x: object = NUMBER if i == 77 else CATEGORY if i % 50 == 49 else float(i % 10)
        row: dict[str, object] = {COLUMN: x, "kind": CATEGORY if i % 3 else "plain", "who": KEY, "at": 1.7e9 + i}
        found.append(row | ({"y": LABEL if i % 3 else "other"} if labelled else {}))
    return found


def searched(folder: Path, outputs: dict[str, str], told: tuple[str, ...] = ()) -> None:
    """Search files and outputs; ``told`` may be in outputs that were asked for, and in the inputs everything."""
    written = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name, data in {**written, **{name: text.encode() for name, text in outputs.items()}}.items():
        if name.startswith("work/input"):
            continue
        asked = name in outputs or name.startswith("work/asked")
        plain = [*HIDDEN, *(word for word in ASKED_FOR if not (asked and word in told))]
        for canary in [*(text.encode() for text in plain), *ways(NUMBER)]:
            assert canary not in data, (name, canary)


@pytest.mark.slow
def test_a_replay_tells_what_was_asked_for_and_no_value(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    lines = [json.dumps(row) for row in rows(150, labelled=True)]
    (work / "input.jsonl").write_text("\n".join([*lines, '{"' + COLUMN + '": [1], "y": "' + LABEL + '"}', CATEGORY]))
    words = ["replay", "input.jsonl", "--label", "y", "--key", "who", "--learners", "softmax,naive-bayes"]
    words += ["--state", "state", "--json", "asked.json", "--report", "asked.html", "--micro-batch", "32"]
    done = sandboxed(tmp_path, "-m", "acclimate_device.cli", *words)
    assert "5 of 152 rows were not used" in done.stdout
    searched(tmp_path, {"out": done.stdout, "err": done.stderr}, told=(LABEL, COLUMN))


@pytest.mark.slow
def test_a_service_logs_no_value_and_no_name(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "input.toml").write_text(RULE)
    (work / "input.jsonl").write_text("\n".join(json.dumps(row) for row in rows(150, labelled=False)))
    words = ["run", "--source", "-", "--labels", "input.toml", "--key", "who", "--time", "at", "--state", "state"]
    words += ["--learners", "softmax,naive-bayes", "--micro-batch", "32"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, (work / "input.jsonl").open() as stdin:
        manager.bind(str(tmp_path / "n"))
        more = {"NOTIFY_SOCKET": str(tmp_path / "n")}
        done = sandboxed(tmp_path, "-m", "acclimate_device.cli", *words, stdin=stdin, more=more)
        manager.setblocking(False)  # noqa: FBT003
        notes = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                notes += manager.recv(65_536) + b"\n"
    assert b"READY=1" in notes
    assert "starts" in done.stderr
    assert "3 rows or labels were not used" in done.stderr
    learned = json.loads(sandboxed(tmp_path, "-m", "acclimate_device.cli", "status", "state", "--json").stdout)
    assert learned["commits"] > 1
    searched(tmp_path, {"out": done.stdout, "err": done.stderr, "notes": notes.decode()})


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "leak").write_bytes(b"..." + struct.pack("<d", NUMBER) + CATEGORY.encode())
    data = (tmp_path / "leak").read_bytes()
    assert any(way in data for way in ways(NUMBER))
    assert CATEGORY.encode() in data
