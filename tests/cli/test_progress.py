import io

import pytest

from nnmeter.cli.progress import StatusLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the progress sees; a test moves it on."""
    clock = [0.0]
    monkeypatch.setattr("nnmeter.cli.progress.time.monotonic", lambda: clock[0])
    return clock


def work(now: list[float], seconds: float, fault: Exception | None = None) -> None:
    with StatusLine() as status:
        for done in range(5):
            status.show_bar("working", done, 5)
            now[0] += seconds
            if fault and done == 3:
                raise fault


def test_a_quick_job_shows_nothing(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    work(now, 0.4)
    assert terminal.getvalue() == ""


def test_a_long_job_shows_a_bar_and_erases_it(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    work(now, 1.0)
    assert "working [##" in terminal.getvalue()
    assert "3/5" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_an_error_erases_the_bar_before_it_is_printed(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with pytest.raises(ValueError, match="bad") as caught:
        work(now, 3.0, ValueError("bad"))
    assert caught.tb, "the frames are still alive"
    assert "3/5" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_pipe_never_gets_a_bar(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    work(now, 10.0)
    assert pipe.getvalue() == ""


def test_a_note_stays_above_the_line_that_is_replaced(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with StatusLine() as status:
        status.note("first")
        now[0] += 3.0
        status.show("working")
        status.note("second")
    assert terminal.getvalue() == "first\n\r\x1b[Kworking\r\x1b[Ksecond\n\r\x1b[K"


def test_names_of_files_control_no_terminal(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with StatusLine() as status:
        now[0] = 9.0
        status.show("measuring a\x1b]0;owned\x07.onnx")
        status.note("left out b\x9b2J.onnx\r")
    shown = terminal.getvalue().replace("\r\x1b[K", "").rstrip("\n")
    assert shown.isprintable(), shown
    assert "left out b" in shown
