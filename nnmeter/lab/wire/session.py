"""A session with a device by wire: requests are answered once, however often the wire is cut.

1. The far side keeps what it said to the request in hand (`nnmeter.lab.wire.holder`). After a cut the session connects
   anew, waiting longer each time, and goes on with what it has not heard.
2. Where the far process is another one (it was killed, the machine was started anew, or the wire was gone for longer
   than it waits), the runtime is opened anew, and the request is made once more. A request that costs the far process
   its life `MOST_LOSSES` times is given up: it is the network's fault.
3. The machine must be the one of before, by the name that it made up for itself: an address may lead elsewhere today.
4. A session that cannot connect at first says why at once. Later it tries for `LOST_S`, and then the device is lost.
5. While another campaign holds the device there is no session: one line says who it is.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import re
import secrets
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

from nnmeter.errors import MeasurementError
from nnmeter.lab.campaign.bench import BenchLost
from nnmeter.lab.measuring.fingerprint import identity
from nnmeter.lab.wire import landing
from nnmeter.lab.wire.board import Board, ssh_command
from nnmeter.lab.wire.claims import Claim
from nnmeter.lab.wire.connection import Connection, Cut, Message
from nnmeter.lab.wire.messages import text_of
from nnmeter.lab.wire.package import Archive, package_archive

LOST_S = 300.0
LANDING_S = 90.0  # a slow board imports Python's library from a card
PATIENCE_S = 120.0  # what the far side waits for us
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
MOST_LOSSES = 2
CHUNK = 256 << 10
_MACHINE = re.compile(r"[0-9a-f]{8,32}")

Listener = Callable[[Message], None]

# What ssh says -> what to do about it.
_REMEDIES = {
    "Permission denied": "put your key there (ssh-copy-id) or into your agent; nothing is asked",
    "Host key verification failed": "connect once by hand, to see whose key it is",
    "not found": 'install Python there, or name it: python = "/where/it/is" in devices.toml',
    "No such file": 'install Python there, or name it: python = "/where/it/is" in devices.toml',
}


# What follows the text of `landing` on the far side.
_LANDED = """
landed = land()
if landed:
    from nnmeter.lab.wire.relay import relay
    relay(*landed)
"""


class FarRefusal(MeasurementError):
    """The far side refuses what was asked; the session goes on."""


class FarDeath(MeasurementError):
    """The process that measures died of what was asked; it must be opened again."""


class _ProcessLost(Exception):
    """The far process is another one than before the cut, or none."""


class Answer(NamedTuple):
    """What the process that measures answers.

    Attributes:
        end: its last word.
        parts: what came before, but for progress.
    """

    end: Message
    parts: list[Message]


class Session:
    """One device, held until `close`.

    Attributes:
        board: the device.
        machine: the name that the machine made up for itself.
        cuts: how often the wire was cut so far.
    """

    def __init__(self, board: Board, claim: Claim, sleep: Callable[[float], None] = time.sleep) -> None:
        """Connect.

        Raises:
            MeasurementError: the device cannot be reached, lacks something, or is held by another campaign.
        """
        self.board, self.machine, self.cuts = board, claim.machine, 0
        self._claim, self._sleep = claim, sleep
        self._numbers = itertools.count()
        self._own = secrets.token_hex(4)
        self._job: Message | None = None
        self._opened: Message | None = None
        self._process: Any = None
        self._since = time.strftime("%Y-%m-%d %H:%M")
        try:
            self._connection, _ = self._connect()
        except Cut as fault:
            raise MeasurementError(f"{board.shown}: cannot be reached ({fault}){_remedy(str(fault))}") from None
        except FileNotFoundError:
            raise MeasurementError(f"{board.shown}: needs the program ssh, which is not here; install it") from None

    def open(self, job: Message) -> Message:
        """Starts the process that measures, in place of the one before; what it says of itself.

        Raises:
            MeasurementError: it cannot measure.
        """
        self._job = job
        opened = self._ask({"open": job}).end
        fingerprint = opened.get("fingerprint")
        if not isinstance(fingerprint, dict):
            raise MeasurementError(f"{self.board.shown}: does not say what it is")
        if self._opened is not None and identity(fingerprint) != identity(self._opened["fingerprint"]):
            raise BenchLost(f"{self.board.shown}: is another device than before: its runtime or its processor changed")
        self._opened = opened
        return opened

    def reopen(self) -> None:
        """Starts the process that measures anew, as it was opened.

        Raises:
            BenchLost: it is another device now.
        """
        assert self._job is not None
        try:
            self.open(self._job)
        except (FarRefusal, FarDeath) as fault:
            raise BenchLost(f"{self.board.shown}: cannot measure any more ({fault})") from fault

    def ask(
        self, request: Message, listen: Listener | None = None, most_parts: int = 0, interruptible: bool = False
    ) -> Answer:
        """What the process that measures answers to a request.

        Args:
            request: its name and content.
            listen: told `progress` as it comes.
            most_parts: messages that may come before the last one.
            interruptible: a first Ctrl-C is told there, and the answer is waited for.

        Raises:
            FarRefusal: it refuses.
            FarDeath: it died of it (rule 2).
            BenchLost: the device cannot be reached any more (rule 4), or is another one (rule 3).
        """
        return self._ask(request, listen, most_parts, interruptible)

    def send_file(self, path: Path) -> str:
        """Copies a file to the far side, if it is not there; its SHA-256.

        Raises:
            BenchLost: as `ask`.
        """
        with open(path, "rb") as stream:
            digest, size = _digest_of(stream), os.fstat(stream.fileno()).st_size
            offset, data = 0, b""
            for _ in range(4 + 4 * (size // CHUNK)):
                have = self._put(digest, size, offset, data)
                if have == size:
                    return digest
                stream.seek(have)
                offset, data = have, stream.read(CHUNK)
        raise MeasurementError(f"{path}: does not arrive as it is; leave it as it is while it is copied")

    def close(self) -> None:
        """Gives the device back."""
        self._connection.close({"bye": 1})

    def _ask(
        self, request: Message, listen: Listener | None = None, most_parts: int = 0, interruptible: bool = False
    ) -> Answer:
        losses = 0
        while True:
            try:
                return self._answer(request, listen, most_parts, interruptible)
            except _ProcessLost:
                losses += 1
                if losses >= MOST_LOSSES:
                    raise FarDeath("the far process was lost twice while it did this") from None
                if "open" not in request:
                    self.reopen()

    def _answer(self, request: Message, listen: Listener | None, most_parts: int, interruptible: bool) -> Answer:
        """One answer, over as many connections as it takes (rule 1)."""
        ident = f"{self._own}-{next(self._numbers)}"
        message: Message = {"ask": request, "id": ident}
        parts: list[Message] = []
        heard = 0
        while True:
            try:
                self._connection.send(message)
                while True:
                    said = self._connection.receive()
                    if "fault" in said:
                        raise FarRefusal(f"it cannot be done there ({text_of(said['fault'])})")
                    if said.get("id") != ident or said.get("number") != heard:
                        continue  # of a request that was given up, or told twice
                    heard += 1
                    if "gone" in said:
                        raise _ProcessLost  # it died between two requests, of which no network is to blame
                    if "died" in said:
                        raise FarDeath(f"died: the process that measures ended by {text_of(said['died'])}")
                    if "refused" in said:
                        raise FarRefusal(text_of(said["refused"]))
                    if "end" in said:
                        return Answer(_object(said["end"]), parts)
                    if "progress" not in said:
                        parts.append(said)
                    elif listen is not None:
                        listen(said)
                    if len(parts) > most_parts:
                        raise FarRefusal("what came is more than was asked")
            except Cut as fault:
                at_work = self._reconnect(fault)
                message = {"resume": 1, "from": heard} if at_work == ident else {"ask": request, "id": ident}
            except KeyboardInterrupt:
                if not interruptible:
                    raise
                interruptible, message = False, {"interrupt": 1}

    def _put(self, digest: str, size: int, offset: int, data: bytes) -> int:
        """Gives bytes of a file; how many are there now."""
        put = {"digest": digest, "size": size, "offset": offset, "data": base64.b64encode(data).decode("ascii")}
        while True:
            try:
                self._connection.send({"put": put})
                while True:
                    said = self._connection.receive()
                    if "fault" in said:
                        raise BenchLost(f"{self.board.shown}: cannot keep a file ({text_of(said['fault'])})")
                    if (said.get("digest"), said.get("offset")) == (digest, offset):
                        return _count(said.get("have"), size)
            except Cut as fault:
                try:
                    self._reconnect(fault)
                except _ProcessLost:
                    if self._job is not None:
                        self.reopen()

    def _reconnect(self, fault: Cut) -> Any:
        """Connects anew (rule 4); the request that the far side has in hand.

        Raises:
            BenchLost: it cannot.
            _ProcessLost: it did, and the far process is another one.
        """
        self.cuts += 1
        self._connection.close()
        before, end, pause = self._process, time.monotonic() + LOST_S, FIRST_PAUSE_S
        while True:
            try:
                self._connection, at_work = self._connect()
                break
            except Cut as again:
                fault = again
            except MeasurementError as refusal:
                raise BenchLost(str(refusal)) from refusal
            if time.monotonic() + pause > end:
                raise BenchLost(f"{self.board.shown}: could not be reached for {LOST_S:g} s ({fault})")
            self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        if self._process != before:
            raise _ProcessLost
        return at_work

    def _connect(self) -> tuple[Connection, Any]:
        """A connection that the far side has taken, and the request that it has in hand."""
        archive = package_archive()
        connection = Connection(ssh_command(self.board), _landing())
        try:
            connection.send(self._hello(archive))
            for _ in range(8 + 4 * (len(archive.data) // CHUNK)):
                said = connection.receive(LANDING_S)
                if "have" in said:
                    have = _count(said["have"], len(archive.data))
                    data = base64.b64encode(archive.data[have : have + CHUNK]).decode("ascii")
                    connection.send({"offset": have, "data": data})
                elif "error" in said:
                    raise MeasurementError(f"{self.board.shown}: {text_of(said['error'])}")
                elif "busy" in said:
                    raise MeasurementError(_busy(self.board, _object(said["busy"])))
                elif "held" in said:
                    return connection, self._take(_object(said["held"]))
            raise Cut("it does not take the package of nnmeter")
        except BaseException:
            connection.close()
            raise

    def _hello(self, archive: Archive) -> Message:
        return {
            "token": self._claim.token, "who": self._claim.who, "since": self._since, "patience_s": PATIENCE_S,
            "package": archive.digest, "size": len(archive.data), "lock": self.board.lock,
        }  # fmt: skip

    def _take(self, held: Message) -> Any:
        """Notes whom we have (rule 3)."""
        machine = held.get("machine")
        if not isinstance(machine, str) or not _MACHINE.fullmatch(machine):
            raise MeasurementError(f"{self.board.shown}: does not say which machine it is")
        if self.machine is not None and machine != self.machine:
            raise MeasurementError(
                f"{self.board.shown}: is another machine than the one that was measured before; give another directory"
            )
        self.machine, self._process = machine, held.get("process")
        return held.get("request")


@cache
def _landing() -> str:
    """What the far Python runs first; read once, as the package is, which may be updated meanwhile."""
    return Path(landing.__file__).read_text(encoding="utf-8") + _LANDED


def _busy(board: Board, busy: Message) -> str:
    """Who has the device (rule 5)."""
    who = f"{text_of(busy.get('who'))}{', since ' + text_of(busy['since']) if 'since' in busy else ''}"
    gone = ""
    if busy.get("gone_s"):
        gone = f"; its wire is cut, and it gives the device up in {text_of(busy.get('free_s'))} s at the latest"
    return f"{board.shown}: is held by {who}{gone}; wait for it, or measure another device"


def _remedy(complaint: str) -> str:
    return next((f"; {remedy}" for word, remedy in _REMEDIES.items() if word in complaint), "")


def _object(value: Any) -> Message:
    if not isinstance(value, dict):
        raise FarRefusal("what came is no answer")
    return value


def _count(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise Cut(f"it has {value!r:.40} bytes of {most}")
    return value


def _digest_of(stream: IO[bytes]) -> str:
    found = hashlib.sha256()
    for chunk in iter(lambda: stream.read(1 << 20), b""):
        found.update(chunk)
    return found.hexdigest()
