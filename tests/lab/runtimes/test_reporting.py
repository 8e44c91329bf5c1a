"""Runtimes report nothing to their makers, unless the user wants them to."""

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nnmeter.lab.runtimes

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_nothing_is_written_to_the_home_of_the_user(runtime, tmp_path):
    """Left alone, both look up the hosts of their makers, and keep files under the user's home."""
    if importlib.util.find_spec(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    script = (
        "from nnmeter.lab.runtimes import load_runtime\n"
        "from tests.lab.runtimes.models import free_model, with_integers\n"
        "model = with_integers(free_model(), zero=[0], rest=[2, 4])\n"
        f"load_runtime('{runtime}').compile(model, dims={{'batch': 1}}).run()"
    )
    left_out = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "CI")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    environment = {**kept, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*")) == []


def test_telemetry_that_the_user_wants_stays_on(monkeypatch):
    for given, expected in ((None, "1"), ("0", "0")):
        monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
        if given is not None:
            monkeypatch.setenv("ORT_DISABLE_TELEMETRY", given)
        importlib.reload(nnmeter.lab.runtimes)
        assert os.environ["ORT_DISABLE_TELEMETRY"] == expected
