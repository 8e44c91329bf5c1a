"""MNN's converter from ONNX, in a process of its own for each model.

1. The converter is native code that ends its process where a model surprises it, so it never runs in the process that
   measures.
2. It is called by the package's extension module `_tools`, which is all that its command `mnnconvert` calls. That
   command itself (`MNN/tools/utils/log.py`) installs a package by pip and reports to MNN's makers.
3. It says by no exit code whether it succeeded: a model that it refuses has no file, and its last lines say why.
4. Tensors keep their names, and inputs the order of their dimensions (`--keepInputFormat`).
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from nnmeter.children import child_environment, python_command
from nnmeter.errors import MeasurementError

PATIENCE_S = 300.0
_SCRIPT = "import _tools\n_tools.mnnconvert(sys.argv[1:])"
_PLACE = re.compile(r"^\[[0-9:]+\] [^ ]*:\d+: ")
_CHATTER = (
    "Start to ",
    "inputTensors",
    "outputTensors",
    "The device ",
    "ONNX Model ",
    "Converted Success",
    "Converted Failed",
    "main,",
    "CPU Group",
)


def convert(source: Path, target: Path, name: str) -> None:
    """Converts an ONNX file to one of MNN (rules 1 to 4).

    Args:
        source: the ONNX file.
        target: the file to write.
        name: of the model, for messages.

    Raises:
        MeasurementError: the converter refuses the model, or comes to no end.
    """
    command = python_command(
        _SCRIPT,
        *("MNNConvert", "-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(target)),
        *("--bizCode", "nnmeter", "--keepInputFormat=1"),
    )
    try:
        done = subprocess.run(
            command,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=target.parent,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise MeasurementError(f"{name}: MNN's converter had not ended after {PATIENCE_S:.0f} seconds") from fault
    if done.returncode or not target.is_file():
        reason = _reason(done.stdout.decode("utf-8", "replace"))
        ended = f"it ended with exit code {done.returncode}" if done.returncode else "it wrote no file"
        raise MeasurementError(f"{name}: MNN's converter refuses it ({reason or ended})")


def _reason(output: str) -> str:
    """The line that says most of why, without the place in the converter's sources where it was noticed."""
    lines = [_PLACE.sub("", line.strip()) for line in output.splitlines()]
    told = [line for line in lines if line and not line.startswith(_CHATTER)]
    unsupported = [line for line in told if "Not Support" in line]
    return " ".join((unsupported or told[-1:]) or [""])[:200].strip()
