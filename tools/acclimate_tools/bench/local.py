"""``make bench-local``: what a question over the local socket, or over topics of a broker on this device, costs.

``acclimate serve`` runs on one core, the client in this process on another where there is one. Labels are given
first, so that the answers come from a model that has learned. Reported, for a single learner and for the whole
committee: the time of a round trip, one after the other; requests a second, sent ahead on one connection; and how many
of those one second of the server's processor time pays for, which does not depend on what else the machine does. Over
topics (where Mosquitto is installed) the time of a round trip goes from the client through the broker and back.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click
import numpy as np
import psutil
from rich.console import Console

from acclimate_device.local.client import Client
from acclimate_device.outputs import to_json, write_text
from acclimate_device.sync.link import mqtt_link
from acclimate_device.sync.wire import Address, Arrived, Connected
from acclimate_tools.bench.replay import ROOT, machine

FEATURES, WARM_ROWS, BATCH = 8, 1024, 256
AHEAD = 64  # requests that are sent before the first answer is read
PERCENTILE = 99.0
MOST_MEDIAN_MS, LEAST_PER_S = 1.0, 2000.0  # what a single learner must keep
ARMS: dict[str, tuple[str, ...]] = {"single learner": ("--learners", "softmax-slow"), "committee": ()}


@contextmanager
def serving(folder: Path, options: Sequence[str]) -> Iterator[tuple[Path, psutil.Process]]:
    """Run ``acclimate serve`` on the first core that is ours; give its socket and its process."""
    place = folder / "agent.sock"
    command = [sys.executable, "-m", "acclimate_device.cli", "serve", "--socket", str(place)]
    command += ["--task", "classification", *options]
    roots = os.pathsep.join(part for part in sys.path if part)
    environment = {**os.environ, "PYTHONPATH": roots}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:  # noqa: S603 (ours)
        try:
            if process.stderr is None or b"answering" not in process.stderr.readline():
                raise RuntimeError("the agent did not start")
            found = psutil.Process(process.pid)
            first, *others = sorted(os.sched_getaffinity(0))
            for thread in found.threads():
                os.sched_setaffinity(thread.id, [first])
            os.sched_setaffinity(0, others or [first])
            try:
                yield place, found
            finally:
                os.sched_setaffinity(0, [first, *others])
        finally:
            process.terminate()
            process.communicate()


def rows(count: int, seed: int) -> list[dict[str, object]]:
    """Return rows of features."""
    drawn = np.random.default_rng(seed).standard_normal((count, FEATURES))
    return [{f"x{at}": float(value) for at, value in enumerate(row)} for row in drawn]


def warm(client: Client) -> None:
    """Let the agent learn, and wait until it has."""
    for at in range(0, WARM_ROWS, BATCH):
        part = rows(BATCH, at)
        answers = client.predict_many(part)
        labels = ["above" if float(str(row["x0"])) > 0 else "below" for row in part]
        given = [{"event": one["event"], "label": label} for one, label in zip(answers, labels, strict=True)]
        if any(client.feedback_many(given)):
            raise RuntimeError("a label was refused")
    while client.status()["learned"] < WARM_ROWS - BATCH:
        time.sleep(0.05)


def round_trips(client: Client, asked: Sequence[dict[str, object]]) -> list[float]:
    """Ask one after the other; return the seconds of each."""
    taken = []
    for row in asked:
        begun = time.perf_counter()
        client.predict(row)
        taken.append(time.perf_counter() - begun)
    return taken


def ahead(place: Path, asked: Sequence[dict[str, object]], server: psutil.Process) -> tuple[float, float]:
    """Ask on one connection sending ahead; return requests a second, and requests a CPU-second of the server."""
    lines = [json.dumps({"op": "predict", "features": row}).encode() + b"\n" for row in asked]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(place))
        with client.makefile("rb") as answers:
            before, begun = sum(server.cpu_times()[:2]), time.perf_counter()
            for at in range(0, len(lines), AHEAD):
                part = lines[at : at + AHEAD]
                client.sendall(b"".join(part))
                if not all(b'"ok":true' in answers.readline() for _ in part):
                    raise RuntimeError("a request was refused")
            passed, cpu = time.perf_counter() - begun, sum(server.cpu_times()[:2]) - before
    return len(lines) / passed, len(lines) / max(cpu, 1e-2)


@contextmanager
def brokering(folder: Path) -> Iterator[int | None]:
    """Run a broker on the loopback; give its port, None where Mosquitto is not installed."""
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\nset_tcp_nodelay true\n")
    with subprocess.Popen([program, "-c", str(config)]) as process:  # noqa: S603 (the system's)
        try:
            yield port
        finally:
            process.terminate()


def over_topics(port: int, asked: Sequence[dict[str, object]]) -> list[float]:
    """Ask over topics, one after the other; return the seconds of each."""
    address = Address(host="127.0.0.1", port=port, client="bench", lasting=False)
    link, taken = mqtt_link(address, credentials=lambda: None), list[float]()
    with closing(link):
        while not isinstance(link.receive(0.1), Connected):
            link.tend()
        link.subscribe(["acclimate/answer/bench", "acclimate/online"])
        while link.receive(1.0) != Arrived("acclimate/online", b"true", retained=True):
            link.tend()
        for row in asked:
            request, begun = json.dumps({"features": row}).encode(), time.perf_counter()
            link.publish("acclimate/predict/bench", request)
            answer = link.receive(10.0)
            taken.append(time.perf_counter() - begun)
            if not isinstance(answer, Arrived) or b'"ok":true' not in answer.payload:
                raise RuntimeError("a request was refused")
    return taken


def measure(options: Sequence[str], requests: int) -> dict[str, float]:
    """Return what questions to one agent cost."""
    with tempfile.TemporaryDirectory() as folder, brokering(Path(folder)) as port:
        words = [*options, *(["--broker", f"127.0.0.1:{port}"] if port else [])]
        with serving(Path(folder), words) as (place, server):
            with Client(place) as client:
                warm(client)
                round_trips(client, rows(200, 1))
                taken = np.array(round_trips(client, rows(requests, 2))) * 1e3
            per_s, per_cpu_s = ahead(place, rows(requests, 3), server)
            topics = np.array(over_topics(port, rows(requests, 4))[200:]) * 1e3 if port else np.empty(0)
    found = {
        "median_ms": float(np.median(taken)),
        "p99_ms": float(np.percentile(taken, PERCENTILE)),
        "requests_per_s": per_s,
        "requests_per_cpu_s": per_cpu_s,
    }
    if len(topics):
        found["topics_median_ms"] = float(np.median(topics))
        found["topics_p99_ms"] = float(np.percentile(topics, PERCENTILE))
    return found


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "results" / "local.json")
@click.option("--requests", type=click.IntRange(100), default=5000, show_default=True, help="Of each kind.")
def main(out: Path, requests: int) -> None:
    """Measure round trips and requests a second over the local socket, and round trips over topics."""
    console = Console(stderr=True)
    found = {name: measure(options, requests) for name, options in ARMS.items()}
    for name, said in found.items():
        times = f"median {said['median_ms']:.3f} ms, p99 {said['p99_ms']:.3f} ms"
        console.print(f"{name}: {times}, {said['requests_per_s']:,.0f} a second")
        if "topics_median_ms" in said:
            times = f"median {said['topics_median_ms']:.3f} ms, p99 {said['topics_p99_ms']:.3f} ms"
            console.print(f"{name}, over topics: {times}")
    one = found["single learner"]
    kept = one["median_ms"] <= MOST_MEDIAN_MS and one["requests_per_s"] >= LEAST_PER_S
    console.print(f"bars ({MOST_MEDIAN_MS:g} ms, {LEAST_PER_S:,.0f} a second): {'kept' if kept else 'missed'}")
    bars = {"most_median_ms": MOST_MEDIAN_MS, "least_requests_per_s": LEAST_PER_S, "kept": kept}
    write_text(out, to_json({**machine(), "requests": requests, "features": FEATURES, "bars": bars, "agents": found}))


if __name__ == "__main__":
    main()
