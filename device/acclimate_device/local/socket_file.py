"""The place of a socket: who may reach it, and what is left there of a server that was killed.

Access is by file permission alone: whoever may write to the socket may ask. The socket appears under its name with its
mode and group already set, by a rename, so that there is no moment in which others could connect. A service manager
may have made it for us: then mode and group are its affair, and the socket stays when we go, so that who asks while the
agent is started anew waits and is answered.
"""

import grp
import os
import secrets
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from acclimate_device.local.limits import PATH_BYTES
from acclimate_shared.errors import UsageError

_FIELD = "socket"
_FIRST_HANDED = 3  # descriptor, see sd_listen_fds(3)


def handed_over(path: Path, environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """Return the socket at which a service manager has begun to listen for us, None if there is none.

    Args:
        path: that was named to us.
        environment: ``LISTEN_PID`` says whom it is meant for, ``LISTEN_FDS`` how many there are.

    Raises:
        UsageError: there are several, or it is not the one that was named.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    if environment.get("LISTEN_FDS") != "1":
        count = environment.get("LISTEN_FDS")
        raise UsageError("one socket is wanted", field=_FIELD, value=count, remedy="name one ListenStream= alone")
    listener = socket.socket(fileno=_FIRST_HANDED)
    listener.set_inheritable(False)
    listener.settimeout(None)
    if listener.family != socket.AF_UNIX or listener.getsockname() != os.fspath(path):
        found = listener.getsockname()
        listener.close()
        raise UsageError(
            "the service manager listens elsewhere", field=_FIELD, value=found, remedy=f"use {path} in both"
        )
    return listener


def bound(path: Path, *, mode: int, group: str | None, backlog: int) -> socket.socket:
    """Return a socket that listens at a path.

    Args:
        path: of the socket; what is left there of a server that is gone is replaced.
        mode: of the file, such as 0o660.
        group: of the file; None leaves it as it is.
        backlog: connections that may wait.

    Raises:
        UsageError: the folder is missing, anyone may write to it, another server answers there, something else lies
            there, the path is too long, or mode or group cannot be set.
    """
    check_folder(path)
    _check_place(path)
    fresh = path.with_name(f".{secrets.token_hex(4)}")
    if max(len(os.fsencode(place)) for place in (path, fresh)) > PATH_BYTES:
        raise UsageError(
            "the path is too long", field=_FIELD, value=str(path), remedy=f"use {PATH_BYTES} bytes at most"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(fresh))
        if group is not None:
            os.chown(fresh, -1, _group(group))
        fresh.chmod(mode)
        listener.listen(backlog)
        fresh.replace(path)
    except OSError as exc:
        raise UsageError(
            f"the socket cannot be made: {exc.strerror}",
            field=_FIELD,
            value=str(path),
            remedy="check folder and rights",
        ) from exc
    finally:
        if fresh.exists():
            fresh.unlink()
            listener.close()
    return listener


def check_folder(path: Path) -> None:
    """Refuse a folder in which anyone could put another socket in our place.

    Raises:
        UsageError: it is missing, or others may write to it; for the folders above it a sticky bit is enough.
    """
    folder = Path(os.path.realpath(path.parent))
    if not folder.is_dir():
        raise UsageError("there is no such folder", field=_FIELD, value=str(path.parent), remedy="make it first")
    for at, place in enumerate((folder, *folder.parents)):
        found = place.stat().st_mode
        if found & stat.S_IWOTH and (at == 0 or not found & stat.S_ISVTX):
            remedy = f"run chmod o-w {place}, or use a folder of your own"
            raise UsageError("anyone may write to this folder", field=_FIELD, value=str(place), remedy=remedy)


def _check_place(path: Path) -> None:
    try:
        found = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found):
        raise UsageError("something else lies there", field=_FIELD, value=str(path), remedy="use another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            return  # its server is gone
        except OSError:
            pass  # too busy to answer, or not ours to ask
    raise UsageError(
        "another server answers there", field=_FIELD, value=str(path), remedy="stop it, or use another path"
    )


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as exc:
        raise UsageError("no such group", field="group", value=name, remedy="see /etc/group") from exc


def remove(path: Path, listener: socket.socket, inode: int) -> None:
    """Close a socket and remove its file, unless another has taken its place."""
    listener.close()
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        return
