"""A proxy between a client and a broker that can swallow everything without closing anything."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Proxy:
    """Forwards until ``swallow`` is set; ``accepted`` counts connections, ``bytes`` what passed."""

    def __init__(self, to: int) -> None:
        self._to, self.swallow, self.accepted, self.bytes = to, False, 0, 0
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
                thread = threading.Thread(target=self._pump, args=(one, other), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        deaf = False
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                deaf = deaf or self.swallow  # for the life of the connection
                if not deaf:
                    self.bytes += len(data)
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
def proxy(to: int) -> Iterator[Proxy]:
    made = Proxy(to)
    try:
        yield made
    finally:
        made.close()
