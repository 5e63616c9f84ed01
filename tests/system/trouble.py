"""Trouble for a fleet: parts that are killed, connections that are cut or swallowed, one after the other, by a seed."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol, Self

from tests.device.sync.proxy import Proxy

LOOK_S = 0.2

Fault = Callable[[Callable[[float], None]], None]  # is given how to wait


class Killable(Protocol):
    """What can be killed and started again."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


def killed(part: Killable, down_s: float) -> Fault:
    """Return the fault of a part that is killed, and is back after a while."""

    def fault(wait: Callable[[float], None]) -> None:
        part.kill()
        wait(down_s)
        part.start()

    return fault


def swallowed(proxy: Proxy, seconds: float) -> Fault:
    """Return the fault of a network that takes everything and delivers nothing; then the connections are gone."""

    def fault(wait: Callable[[float], None]) -> None:
        proxy.swallow = True
        wait(seconds)
        proxy.swallow = False
        proxy.cut()

    return fault


class Trouble:
    """Makes trouble in a thread until its block ends; ``counts`` says how often each kind."""

    def __init__(
        self, faults: Mapping[str, Fault], seed: int, calm_s: float, lives: Callable[[], object], rounds: int = 0
    ) -> None:
        """Prepare.

        Args:
            faults: every kind comes once before any comes again.
            seed: of their order.
            calm_s: longest time between the sign of life after a fault and the next one; a random part of it.
            lives: says something else whenever there is life; trouble does not go on without.
            rounds: how often each kind comes; 0: until the end.
        """
        self._faults, self._rng, self._calm_s = faults, random.Random(seed), calm_s  # noqa: S311
        self._lives, self._rounds = lives, rounds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.counts: Counter[str] = Counter()
        self.failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _wait(self, seconds: float) -> None:
        self._over.wait(seconds)

    def _run(self) -> None:
        try:
            turn = 0
            while not self._rounds or turn < self._rounds:
                turn += 1
                for name in self._rng.sample(sorted(self._faults), len(self._faults)):
                    if not self._calm():
                        return
                    self._faults[name](self._wait)
                    self.counts[name] += 1
        except BaseException as exc:  # noqa: BLE001 - the test says it
            self.failed = exc

    def _calm(self) -> bool:
        """Wait for life, and a little longer; return whether trouble goes on."""
        before = self._lives()
        while self._lives() == before and not self._over.wait(LOOK_S):
            pass
        return not self._over.wait(self._rng.uniform(0.0, self._calm_s))
