"""Frames: what is sent arrives, and whatever else arrives is refused before it is used."""

import socket
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_device.frames import HEAD, MOST, Frame, packed, receive, send, unpacked
from acclimate_shared.errors import LinkError


def got(data: bytes, most: int = 1 << 16) -> Frame | None:
    """Return what a receiver makes of bytes after which the sender closes."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(data)
        return receive(ours, most, lambda: 5.0)


def test_a_frame_arrives_as_it_was_sent() -> None:
    tensors = {"x": np.array([[1.0, np.nan]]), "y": np.arange(3), "w": np.ones(2, np.float32)}
    frame = Frame(kind="learn", step=7, text="a", digest="b", dims={"classes": 3}, tensors=packed(tensors))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(theirs, frame)
        received = receive(ours, 1 << 16, lambda: 5.0)
    assert received == frame
    for name, array in unpacked(received.tensors).items():
        np.testing.assert_array_equal(array, tensors[name])
        assert array.dtype == tensors[name].dtype
    assert got(b"") is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        (0).to_bytes(HEAD, "big"),
        (70_000).to_bytes(HEAD, "big"),
        (MOST + 1).to_bytes(HEAD, "big"),
        (64).to_bytes(HEAD, "big") + b"cut off",
        (4).to_bytes(HEAD, "big") + b"\xc1\xc1\xc1\xc1",
        (1).to_bytes(HEAD, "big") + b"\x80",  # a map without a kind
        (14).to_bytes(HEAD, "big") + b"\x81\xa4kind\xa7no such",
    ],
)
def test_what_is_not_a_frame_is_refused(data: bytes) -> None:
    with pytest.raises(LinkError):
        got(data)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_do_more_than_be_refused(data: bytes) -> None:
    for refused in (lambda: got(data), lambda: got(len(data).to_bytes(HEAD, "big") + data), lambda: unpacked(data)):
        try:
            refused()
        except LinkError:
            continue


def test_waiting_ends_with_the_deadline() -> None:
    left: list[Any] = [0.001, 0.0]
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(LinkError, match="in time"):
        receive(ours, 100, lambda: left.pop(0))
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        with pytest.raises(LinkError, match="sent"):
            send(ours, Frame(kind="export", tensors=b"x" * (1 << 20)))
