"""What a prediction imports: nothing that is heavy, so that a cold `nnmeter predict` is fast."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"rich", "onnx", "onnxruntime", "lightgbm", "sklearn", "scipy", "pandas", "pyarrow", "google.protobuf"}

PROBE = """
import sys
from nnmeter.cli.main import run
code = run({arguments})
print("loaded:", *(name for name in {heavy} if name in sys.modules))
sys.exit(code)
"""


@pytest.mark.parametrize("report_format", ["table", "json", "csv", "md"])
def test_a_prediction_imports_nothing_heavy(small_model: Path, small_pack: Path, report_format: str) -> None:
    arguments = ["predict", str(small_model), "--device", str(small_pack), "--format", report_format]
    probe = PROBE.format(arguments=arguments, heavy=sorted(HEAVY))
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_choosing_the_nearest_device_imports_nothing_heavy() -> None:
    probe = PROBE.format(arguments=["devices"], heavy=sorted(HEAVY))
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
