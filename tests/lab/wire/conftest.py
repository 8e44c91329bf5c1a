"""A board that is this machine with another home: `ssh` is a script that runs the command here."""

import contextlib
import os
import platform
import re
import signal
import stat
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nnmeter.lab.wire import board, phone_campaign
from tests.lab.wire.phones import Phone

ROOT = Path(__file__).parents[3]

# The far clock is a day and an hour ahead of ours.
SITE = """
import time as _time
_ahead = 90000
_time.time = lambda real=_time.time: real() + _ahead
_time.strftime = lambda form, at=None, real=_time.strftime: real(form, at or _time.localtime(_time.time()))
import datetime as _datetime
class date(_datetime.date):
    @classmethod
    def today(cls):
        return cls.fromtimestamp(_time.time())
_datetime.date = date
"""

RUNTIME = """
import os, signal, sys, time
from tests.lab.campaign.fakes import FakeRuntime

class Far(FakeRuntime):
    name = "far"
    def compile(self, model, threads=1, *, seed=0, **options):
        home = os.path.expanduser("~")
        if not hasattr(model, "graph"):
            return super().compile(model, threads, **options)  # the reference
        sys.stdout.write("a runtime's own talk\\n")
        with open(os.path.join(home, "compiled"), "a") as log:
            log.write(f"{seed}\\n")
        with open(os.path.join(home, "weights"), "a") as log:
            log.write(f"{sum(len(tensor.raw_data) for tensor in model.graph.initializer)}\\n")
        if os.path.exists(os.path.join(home, f"kill-{seed}")):
            os.kill(os.getpid(), signal.SIGSEGV)
        while os.path.exists(os.path.join(home, f"wait-{seed}")):
            time.sleep(0.01)
        return super().compile(model, threads, seed=seed, **options)
"""

SSH = """\
#!{python} -ISE
import os, sys
open({pids!r}, "a").write(f"{{os.getpid()}}\\n")
if os.path.exists({down!r}):
    sys.exit("ssh: connect to host board port 22: Connection refused")
print("Welcome to the board", flush=True)
environment = {{"HOME": {home!r}, "PATH": {path!r}, "PYTHONPATH": {site!r}, "XDG_CACHE_HOME": ""}}
os.execve("/bin/sh", ["sh", "-c", sys.argv[-1]], environment)
"""


class FarSide:
    """What a test does to the board and to the wire."""

    def __init__(self, folder):
        self.folder = folder
        self.home, self.site, self.bin = folder / "home", folder / "site", folder / "bin"
        self.pids, self.down = folder / "pids", folder / "down"
        for place in (self.home, self.site, self.bin):
            place.mkdir()
        self._executable(self.bin / "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        text = SSH.format(
            python=sys.executable,
            pids=str(self.pids),
            down=str(self.down),
            home=str(self.home),
            path=f"{self.bin}:/usr/bin:/bin",
            site=f"{self.site}:{ROOT}",
        )
        self._executable(self.bin / "ssh", text)
        information = self.site / "far-1.0.dist-info"
        information.mkdir()
        (self.site / "far_runtime.py").write_text(RUNTIME)
        (self.site / "sitecustomize.py").write_text(SITE)
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: far\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text("[nnmeter.runtimes]\nfar = far_runtime:Far\n")

    @staticmethod
    def _executable(path, text):
        path.write_text(textwrap.dedent(text))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def connections(self):
        """How often ssh was started."""
        return len(self.pids.read_text().split()) if self.pids.exists() else 0

    @property
    def compiled(self):
        """Seeds of the networks that the runtime was given, in order."""
        return [int(line) for line in (self.home / "compiled").read_text().split()]

    def signal(self, number=signal.SIGKILL):
        """To the newest connection, near end and far end."""
        with contextlib.suppress(ProcessLookupError):  # it was cut already
            os.kill(int(self.pids.read_text().split()[-1]), number)

    def holders(self):
        """Processes that have the lock open: the one that holds the board, and the one that measures."""
        lock = str(self.lock_file())
        for place in Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                if os.readlink(place) == lock:
                    yield int(place.parts[2])

    def lock_file(self):
        (found,) = self.home.glob(".cache/nnmeter/wire/*/lock")
        return found

    def is_free(self, patience_s=5.0):
        """Whether nobody holds the board, or lets it go soon."""
        import fcntl

        end = time.monotonic() + patience_s
        with open(self.lock_file()) as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                except OSError:
                    if time.monotonic() > end:
                        return False
                    time.sleep(0.02)


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The package is unpacked and compiled once for all boards."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture
def far(tmp_path, monkeypatch, packages):
    side = FarSide(tmp_path)
    base = side.home / ".cache" / "nnmeter" / "wire" / re.sub(r"[^A-Za-z0-9.-]", "_", platform.node())
    base.mkdir(parents=True)
    (base / "packages").symlink_to(packages)
    monkeypatch.setenv("PATH", f"{side.bin}:{os.environ['PATH']}")
    return side


@pytest.fixture
def address(far):
    return board.find_board("ssh://me@board:2222", runtime="far")


@pytest.fixture
def phone(tmp_path, monkeypatch):
    made = Phone(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'host'}:{os.environ['PATH']}")
    monkeypatch.setattr(phone_campaign, "PLACE", str(made.place))
    monkeypatch.setattr(phone_campaign, "FIRST_PAUSE_S", 0.01)
    return made
