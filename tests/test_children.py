"""Nothing in the working directory is imported by a process of ours, whatever it is called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nnmeter
from nnmeter.children import child_environment, python_command, safe_path
from nnmeter.cli.main import run

_NAMES = ("click", "numpy", "onnx", "linecache", "sitecustomize", "usercustomize", "json", "resource", "pyarrow",
          "multiprocessing", "pickle", "selectors", "base64", "onnxruntime", "lightgbm", "_tools")  # fmt: skip


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, full of modules that leave a trace when they are imported."""
    place = tmp_path / "hostile"
    place.mkdir()
    trap = f"open({str(tmp_path / 'trapped')!r}, 'a').write(__name__)"
    for name in _NAMES:
        (place / f"{name}.py").write_text(trap)
    (place / "nnmeter").mkdir()
    for name in ("__init__", "__main__"):
        (place / "nnmeter" / f"{name}.py").write_text(trap)
    monkeypatch.chdir(place)
    return place


def trapped(hostile: Path) -> bool:
    return (hostile.parent / "trapped").exists()


def test_the_trap_works(hostile: Path) -> None:
    subprocess.run([sys.executable, "-m", "nnmeter"], check=False, capture_output=True, env={"PATH": os.defpath})
    assert trapped(hostile)


@pytest.mark.parametrize("verb", ["predict", "kernels"])
def test_the_child_of_timeout_is_not_trapped(
    hostile: Path, small_model: Path, small_pack: Path, verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run([verb, str(small_model), "--device", str(small_pack), "--timeout", "60"])
    assert (code, trapped(hostile)) == (0, False), capfd.readouterr().err


@pytest.mark.parametrize("entry", ["", ".", "{here}", "relative"])
def test_a_path_that_means_the_working_directory_does_not_trap(
    hostile: Path, entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = entry.format(here=hostile)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([given, "/somewhere"]))
    monkeypatch.setattr(sys, "path", [given, *sys.path])
    command = python_command("import click, numpy, nnmeter, sys; print(nnmeter.__version__)")
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, trapped(hostile)) == (0, False), done.stderr
    assert child_environment()["PYTHONPATH"] == "/somewhere"


def test_the_worker_of_a_campaign_is_not_trapped(hostile: Path, tmp_path: Path) -> None:
    from nnmeter.errors import MeasurementError
    from nnmeter.lab.campaign.supervisor import run_supervised_campaign

    with pytest.raises(MeasurementError, match="no-such-runtime"):
        run_supervised_campaign(tmp_path / "campaign", "no-such-runtime", budget_s=1.0)
    assert not trapped(hostile)


def test_a_package_in_the_working_directory_is_loaded_by_its_place_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a checkout: the package is found, and its neighbours are not."""
    checkout = Path(nnmeter.__file__).parent.parent
    monkeypatch.chdir(checkout)
    script = f"import nnmeter.cli.main, sys; print(nnmeter.__file__, {str(checkout)!r} in sys.path)"
    done = subprocess.run(python_command(script), env=child_environment(), capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f"{nnmeter.__file__} False"


def test_where_python_lies_stays_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    library = next(entry for entry in sys.path if entry.endswith("site-packages"))
    monkeypatch.chdir(library)
    assert safe_path(["", ".", library]) == [library]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older Pythons know no PYTHONSAFEPATH")
def test_processes_that_are_spawned_are_not_trapped(
    hostile: Path, small_model: Path, small_pack: Path, tmp_path: Path
) -> None:
    """With another thread, those that predict beside each other are spawned in place of forked."""
    script = tmp_path / "program.py"
    script.write_text(
        "import threading, nnmeter\n"
        "if __name__ == '__main__':\n"
        "    end = threading.Event()\n"
        "    threading.Thread(target=end.wait, daemon=True).start()\n"
        f"    found = nnmeter.predict_many([{str(small_model)!r}] * 40, [{str(small_pack)!r}], workers=2)\n"
        "    import os; print(len(found), 'PYTHONSAFEPATH' in os.environ)\n"
    )
    root = str(Path(nnmeter.__file__).parent.parent)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([root, *sys.path[1:]])}
    done = subprocess.run([sys.executable, "-P", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, trapped(hostile)) == (0, "40 False\n", False), done.stderr


def test_the_converter_of_mnn_is_not_trapped(hostile: Path, small_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("MNN")
    from nnmeter.lab.runtimes.mnn_converter import convert

    convert(small_model, tmp_path / "small.mnn", "small")
    assert (tmp_path / "small.mnn").is_file()
    assert not trapped(hostile)
