"""A registry as a team has it: a folder with packs of the tests, and a static web server before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nnmeter.devices import DevicePack, save_pack
from nnmeter.devices.registry.exporting import export_packs
from nnmeter.fusion.loading import load_rules, rules_to_dict
from tests.conftest import make_small_predictor
from tests.devices.conftest import CARD


@pytest.fixture
def pack(tmp_path: Path) -> DevicePack:
    """A pack that can be used: with rules that load."""
    rules = rules_to_dict(load_rules("plain_network"))
    return save_pack(tmp_path / "packs" / CARD.id, CARD, rules, make_small_predictor(), {"within_10": 90.0})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that packs are added to; no other packs can be found."""
    monkeypatch.setattr("nnmeter.devices.catalog._shipped_directories", list)
    monkeypatch.setenv("NNMETER_PACKS", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    return tmp_path / "home"


@pytest.fixture
def registry(pack: DevicePack, tmp_path: Path, home: Path) -> Path:
    """A registry with one version of the pack of the tests."""
    folder = tmp_path / "registry"
    export_packs([str(pack.path)], folder)
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Static files, and some answers of bad servers."""

    def do_GET(self) -> None:
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/moved/"))
            self.end_headers()
        elif self.path.startswith("/half/"):
            data = (Path(self.directory) / self.path.removeprefix("/half/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
        elif self.path.startswith("/endless/"):
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(1 << 20))
            except OSError:
                pass
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server(registry: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the registry on a server of static files."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(registry))) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
