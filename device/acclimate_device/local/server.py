"""A Unix socket that answers JSON lines, with a thread a connection.

Threads were chosen by measurement (``make bench-local``): they answer sooner than a selector or asyncio, a slow request
or a client that does not read holds up nobody but itself, and labels that come on several connections share a write to
the disk. A connection is answered in order, one request at a time; what it sends beyond that waits in the kernel, which
is the back-pressure.
"""

import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from acclimate_device.local.limits import Limits
from acclimate_device.local.service import Service, stopping
from acclimate_device.local.socket_file import bound, handed_over, remove
from acclimate_shared.errors import MessageError, RateError

logger = logging.getLogger(__name__)

MODE = 0o660  # of the socket: its owner and its group


class LocalServer:
    """Serves a socket from ``start`` to ``close``."""

    def __init__(self, path: Path, service: Service, limits: Limits | None = None) -> None:
        """Serve nothing yet.

        Args:
            path: of the socket.
            service: that answers.
            limits: None for the default.
        """
        self.path = path
        self._service, self._limits = service, limits or Limits()
        self._listener: socket.socket | None = None
        self._inode = 0  # of our own socket; of one that was handed over, none
        self._acceptor = threading.Thread(target=self._accept, name="acclimate-accept", daemon=True)
        self._open: dict[socket.socket, threading.Thread] = {}
        self._turned_away = self._cut_off = 0
        self._lock = threading.Lock()
        self._stopping = False
        service.facts.append(self.facts)

    def start(self, *, mode: int = MODE, group: str | None = None) -> None:
        """Make the socket, or take the one that a service manager hands over, and answer.

        Args:
            mode: of the socket's file, if we make it.
            group: likewise; None leaves it as it is.

        Raises:
            UsageError: see ``socket_file.bound`` and ``handed_over``.
        """
        self._listener = handed_over(self.path)
        if self._listener is None:
            self._listener = bound(self.path, mode=mode, group=group, backlog=self._limits.backlog)
            self._inode = self.path.lstat().st_ino
        self._ending, self._end_seen = socket.socketpair()
        self._acceptor.start()

    def facts(self) -> dict[str, Any]:
        """Return what the server has to do, for ``status``."""
        with self._lock:
            return {"connections": len(self._open), "turned_away": self._turned_away, "cut_off": self._cut_off}

    # -- connections --------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None and not self._stopping:
            try:
                ready, _, _ = select.select([listener, self._end_seen], [], [])
                if self._end_seen in ready:
                    return
                client, _ = listener.accept()
            except OSError as exc:
                if self._stopping:
                    return
                logger.warning("a connection could not be accepted: %s", exc.strerror)
                threading.Event().wait(0.1)  # out of file descriptors, most likely
                continue
            self._take(client)

    def _take(self, client: socket.socket) -> None:
        """Give a connection a thread, or turn it away."""
        client.settimeout(self._limits.patience_s)
        thread = threading.Thread(target=self._attend, args=[client], name="acclimate-client", daemon=True)
        with self._lock:
            full = len(self._open) >= self._limits.connections
            if not full and not self._stopping:
                self._open[client] = thread
                thread.start()
                return
            self._turned_away += 1
        error = RateError("too many connections", field="connections", remedy="close some, or come again later")
        try:
            client.settimeout(0)
            client.send(self._service.refuse(error if full else stopping()))
        except OSError:
            pass  # it has gone already
        finally:
            client.close()

    def _attend(self, client: socket.socket) -> None:
        """Answer one client until it goes, misbehaves or the server stops."""
        try:
            self._converse(client)
        except (TimeoutError, BlockingIOError):
            with self._lock:
                self._cut_off += 1
            logger.info("a client that did not read, or left a line unfinished, was cut off")
        except OSError as exc:
            logger.debug("a client has gone: %s", exc.strerror)
        finally:
            with self._lock:
                self._open.pop(client, None)
            client.close()

    def _converse(self, client: socket.socket) -> None:
        for lines in self._lines(client):
            for at in range(0, len(lines), self._limits.answers):
                part = lines[at : at + self._limits.answers]
                client.sendall(b"".join(self._service.answer(line) for line in part))

    def _lines(self, client: socket.socket) -> Iterator[list[bytes]]:
        """Yield the lines that came together, without their newlines; at the end of the connection stop."""
        rest = bytearray()
        while True:  # when the server stops, ``close`` ends the reading behind what has been sent already
            try:
                data = client.recv(self._limits.read_bytes)
            except TimeoutError:
                if rest:
                    raise
                continue  # a client that has nothing to say may stay
            if not data:
                return
            end = data.rfind(b"\n")
            if end >= 0:
                *lines, last = (bytes(rest) + data).split(b"\n")
                rest = bytearray(last)
            else:
                lines = []
                rest += data
            long = len(rest) >= self._limits.line_bytes or any(len(line) >= self._limits.line_bytes for line in lines)
            if long:
                self._too_long(client)
                return
            yield [line for line in lines if line.strip()]

    def _too_long(self, client: socket.socket) -> None:
        remedy = f"send at most {self._limits.line_bytes} bytes, the newline included"
        error = MessageError("the line is too long", field="line", remedy=remedy)
        client.sendall(self._service.refuse(error))
        with self._lock:
            self._cut_off += 1

    # -- the end ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Answer what is at hand, take nothing more, and remove the socket."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self._stopping = True
        self._ending.close()  # wakes the thread that accepts; the socket itself may not be ours to shut down
        self._acceptor.join()
        self._end_seen.close()
        remove(self.path, listener, self._inode)
        self._end(socket.SHUT_RD, self._limits.drain_s)
        self._end(socket.SHUT_RDWR, self._limits.drain_s)
        self._service.close()

    def _end(self, how: int, patience_s: float) -> None:
        """Let the threads of all connections end: no more requests, or no more answers either."""
        with self._lock:
            there = list(self._open.items())
        for client, _ in there:
            with suppress(OSError):  # it has gone already
                client.shutdown(how)
        until_s = time.monotonic() + patience_s
        for _, thread in there:
            thread.join(max(0.0, until_s - time.monotonic()))
