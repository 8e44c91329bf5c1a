"""What a kit knows of each runtime: its program, the commands of a row, and whether its files can be written here.

A row's folder is `$folder`, its model `$model`; `$runs` is how often to run it, `$threads` on how many threads.
`scripts/<runtime>.sh` has the commands for a shell of POSIX.
"""

from __future__ import annotations

from dataclasses import dataclass

from nnmeter.errors import MeasurementError


@dataclass(frozen=True)
class KitRuntime:
    """A runtime that kits are made for.

    Attributes:
        name: as in device packs.
        program: that runs models, which the user has.
        where: how to get it, in words.
        profiled: whether it times kernels.
        typed_inputs: whether its program must be told the element types of inputs.
    """

    name: str
    program: str
    where: str
    profiled: bool = True
    typed_inputs: bool = False


RUNTIMES: dict[str, KitRuntime] = {
    "onnxruntime": KitRuntime(
        "onnxruntime",
        "onnxruntime_perf_test",
        "it is built with ONNX Runtime (`./build.sh --config Release`, for Android with `--android`), and comes with "
        "some of its packages",
    ),
    "openvino": KitRuntime(
        "openvino", "benchmark_app", "it comes with `pip install openvino`, and with OpenVINO's own packages",
        typed_inputs=True,
    ),
    "tensorrt": KitRuntime("tensorrt", "trtexec", "it comes with TensorRT, in its folder `bin`"),
}  # fmt: skip

# Runtimes whose files nothing here writes, and why.
_REFUSED: dict[str, str] = {
    "litert": "needs .tflite files, which nothing here writes; convert ONNX models with onnx2tf, run benchmark_model "
    "with --enable_op_profiling=true, and import what it writes",
    "ncnn": "needs .param files, which its own pnnx writes; convert ONNX models with pnnx, run benchncnn, and import "
    "what it prints",
}

NAMES = (*RUNTIMES, *_REFUSED)


def runtime_of_kit(name: str) -> KitRuntime:
    """The runtime of a kit.

    Raises:
        MeasurementError: nothing here writes its files, or it is unknown.
    """
    if name in _REFUSED:
        raise MeasurementError(f"a kit for {name} {_REFUSED[name]}: nnmeter import profile FILE...")
    if name not in RUNTIMES:
        raise MeasurementError(f"no kit is made for {name}; there are {', '.join(RUNTIMES)}")
    return RUNTIMES[name]
