"""`--on` of the verbs that measure."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")


def test_device_that_is_none_is_one_line(cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    outcome = cli("profile", "--on", "board", "--out", "d", "--budget", "5s")
    assert outcome.code == 2
    assert "devices.toml: is not there, so no device is called 'board'" in outcome.error_line
    assert not Path("d").exists()


def test_board_that_cannot_be_reached_is_one_line(
    cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh").write_text("#!/bin/sh\necho 'ssh: Could not resolve hostname board' >&2\nexit 255\n")
    (tmp_path / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    outcome = cli("profile", "--on", "ssh://board", "--out", "d", "--budget", "5s")
    assert outcome.code == 2
    assert "ssh://board: cannot be reached (ssh: Could not resolve hostname board)" in outcome.error_line
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = cli("profile", "--on", "ssh://board", "--out", "d", "--budget", "5s")
    assert "ssh://board: needs the program ssh, which is not here" in outcome.error_line
