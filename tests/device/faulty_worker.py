"""The worker of an outside candidate with a fault: MODE after N frames, then what every worker is given.

python faulty_worker.py MODE N FD BYTES
"""

import os
import signal
import socket
import sys

from acclimate_device import outside_worker
from acclimate_device.frames import Frame, send


def misbehave(mode: str) -> None:
    if mode == "hang":
        while True:
            signal.pause()
    if mode == "crash":
        os.abort()
    if mode == "exit":
        os._exit(3)
    if mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "memory":
        held = []
        while True:
            held.append(b"x" * (16 << 20))


def main() -> None:
    mode, after = sys.argv[1], int(sys.argv[2])
    sys.argv = [sys.argv[0], *sys.argv[3:]]
    handle, seen = outside_worker.Candidate.handle, [0]

    def faulty(self: outside_worker.Candidate, frame: Frame) -> Frame:
        seen[0] += 1
        if seen[0] > after:
            misbehave(mode)
        return handle(self, frame)

    def spoiled(link: socket.socket, frame: Frame) -> None:
        junk = {
            "garbage": b"\xff" * 64,
            "nonsense": (8).to_bytes(4, "big") + b"nonsense",
            "long": (1 << 31).to_bytes(4, "big"),
        }
        if seen[0] > after and mode in junk:
            link.sendall(junk[mode])
        else:
            send(link, frame)

    outside_worker.Candidate.handle = faulty  # type: ignore[method-assign]
    outside_worker.send = spoiled  # type: ignore[attr-defined]
    outside_worker.main()


if __name__ == "__main__":
    main()
