"""The far end of one connection: carries lines between the wire and the holder of the device, which it starts if need.

The holder (`nnmeter.lab.wire.holder`) outlives the connection; this process ends with it. Whoever comes while another
campaign holds the device is told so, in one message, and goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from io import BufferedReader
from typing import Any, cast

from nnmeter.lab.wire.landing import OWN_PATH, say

START_S = 60.0  # so long a holder may take to listen, on a slow board
BUSY_S = 3.0
CHUNK = 1 << 16
_LOG = "log"
_HOLDER = f"{OWN_PATH}; from nnmeter.lab.wire.holder import main; main()"


def relay(package: str, hello: dict[str, Any]) -> None:
    """Attaches the wire to the holder, until either ends.

    Args:
        package: folder of the package.
        hello: what the near side says of itself.
    """
    found = _attach(package, hello)
    if found is None:
        return
    threading.Thread(target=_carry_in, args=(found,), daemon=True).start()
    out = sys.stdout.buffer
    with contextlib.suppress(OSError):
        while data := found.recv(CHUNK):
            out.write(data)
            out.flush()
    os._exit(0)  # the other thread waits for a line that nobody needs


def socket_name(hello: dict[str, Any]) -> str:
    """Name of the holder's socket, in the working directory: one for each lock."""
    from hashlib import sha256

    lock = hello.get("lock")
    return "socket" if lock is None else f"socket-{sha256(lock.encode()).hexdigest()[:16]}"


def _attach(package: str, hello: dict[str, Any]) -> socket.socket | None:
    """A socket on which the holder has taken the connection; None where it did not, which has been said."""
    end = time.monotonic() + START_S
    holder: subprocess.Popen[bytes] | None = None
    refused = 0.0
    while True:
        wire = _connect(socket_name(hello))
        if wire is not None:
            answer = _introduce(wire, hello)
            if answer.endswith(b"\n"):
                say(json.loads(answer))
                return wire if b'"held"' in answer else None
            wire.close()  # it was about to end
        if holder is not None and holder.poll() is not None:
            # Another one has the lock. It may be about to listen, or be of another user, whose socket is elsewhere.
            said = (holder.stdout.read() if holder.stdout else b"").decode("utf-8", "replace").strip()
            if said.startswith("error "):
                say({"error": said[6:]})
                return None
            refused = refused or time.monotonic()
            if time.monotonic() > refused + BUSY_S:
                say({"busy": {"who": said or "an unknown process"}})
                return None
            holder = None
        if time.monotonic() > end:
            say({"error": f"nothing answers in {os.getcwd()} after {START_S:g} s; see the file {_LOG} there"})
            return None
        if holder is None:
            holder = _start(package, hello)
        time.sleep(0.05)


def _introduce(wire: socket.socket, hello: dict[str, Any]) -> bytes:
    """What the holder says to a connection, a line; nothing where it ended instead."""
    wire.settimeout(START_S)
    try:
        wire.sendall(json.dumps({"hello": hello}).encode() + b"\n")
        with wire.makefile("rb", buffering=0) as stream:  # what follows the line is not ours to read
            return stream.readline()
    except OSError:
        return b""
    finally:
        wire.settimeout(None)


def _connect(name: str) -> socket.socket | None:
    wire = socket.socket(socket.AF_UNIX)
    try:
        wire.connect(name)
    except OSError:
        wire.close()
        return None
    return wire


def _start(package: str, hello: dict[str, Any]) -> subprocess.Popen[bytes]:
    with open(_LOG, "ab") as log:
        if log.tell() > 1 << 20:
            log.truncate(0)
        return subprocess.Popen(
            [sys.executable, "-c", _HOLDER, package, json.dumps(hello)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )


def _carry_in(wire: socket.socket) -> None:
    source = cast(BufferedReader, sys.stdin.buffer)
    with contextlib.suppress(OSError):
        while data := source.read1(CHUNK):
            wire.sendall(data)
    os._exit(0)
