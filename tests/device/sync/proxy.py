"""A proxy between a client and a broker that can swallow everything without closing anything, and take its time."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from queue import Queue


class Proxy:
    """Forwards until ``swallow`` is set; ``accepted`` counts connections, ``bytes`` and ``pieces`` what passed.

    What passes is ``delay_s`` under way in each direction, however much there is of it.
    """

    def __init__(self, to: int, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s
        self._to, self.swallow, self.accepted, self.bytes, self.pieces = to, False, 0, 0, 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                self._thread(self._slow_pump if self._delay_s else self._pump, one, other)

    def _thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _slow_pump(self, one: socket.socket, other: socket.socket) -> None:
        under_way: Queue[tuple[float, bytes]] = Queue()

        def deliver() -> None:
            with contextlib.suppress(OSError):
                while (due := under_way.get())[1]:
                    time.sleep(max(0.0, due[0] - time.monotonic()))
                    other.sendall(due[1])
                other.shutdown(socket.SHUT_RDWR)

        self._thread(deliver)
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self.bytes += len(data)
                under_way.put((time.monotonic() + self._delay_s, data))
        under_way.put((0.0, b""))

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        deaf = False
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                deaf = deaf or self.swallow  # for the life of the connection
                if not deaf:
                    self.bytes += len(data)
                    self.pieces += 1
                    other.sendall(data)
        if not deaf:
            with contextlib.suppress(OSError):
                other.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End all connections; new ones are taken."""
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)


@contextlib.contextmanager
def proxy(to: int, delay_s: float = 0.0) -> Iterator[Proxy]:
    made = Proxy(to, delay_s)
    try:
        yield made
    finally:
        made.close()
