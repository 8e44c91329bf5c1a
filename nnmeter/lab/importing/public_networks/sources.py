"""Where published tables come from, what is to be known of their figures, and what their kinds of devices are called.

A table that gathers several repositories or rounds says in the reference of a row where it stands: `v0.7:open/...`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Repository:
    """A public repository with latencies.

    Attributes:
        url: where it is.
        license: SPDX identifier of what the figures are published under.
        year: of the newest figures; 0 where it is not known.
        limits: what is to be known of its figures, a sentence each, as the cards of packs say it.
        cpu_limits: the same of CPUs alone.
    """

    url: str
    license: str
    year: int
    limits: tuple[str, ...] = ()
    cpu_limits: tuple[str, ...] = ()


UNKNOWN = Repository("not stated", "not stated", 0)

_MLPERF = Repository(
    "https://github.com/mlcommons/inference_results_v3.0",
    "Apache-2.0",
    2023,
    ("times are medians of MLPerf's SingleStream scenario, open division",),
    ("all large cores, as far as can be told",),
)
_RESULTS = "https://github.com/mlcommons/inference_results_"

PUBLISHED: dict[str, Repository] = {
    "mlperf-open": _MLPERF,
    "renesas": Repository(
        "https://github.com/renesas-rz/rzv_drp-ai_tvm",
        "Apache-2.0",
        2025,
        ("times were published in whole milliseconds, none below 10 ms",),
        ("the CPU ran code that was not tuned",),
    ),
    "openvino": Repository("https://github.com/openvinotoolkit/openvino", "Apache-2.0", 2022),
    "netspresso": Repository(
        "https://github.com/Nota-NetsPresso/netspresso-trainer",
        "Apache-2.0",
        2024,
        ("classifiers have three outputs, so that their last layer is smaller than that of the package",),
    ),
    "paddle": Repository("https://github.com/PaddlePaddle/PaddleClas", "Apache-2.0", 2024),
    "hailo": Repository(
        "https://github.com/hailo-ai/hailo_model_zoo",
        "MIT",
        2025,
        ("frames a second were published as whole numbers; a network that fits is pipelined over the chip",),
    ),
    "rknn": Repository(
        "https://github.com/airockchip/rknn_model_zoo",
        "Apache-2.0",
        2025,
        ("the NPU at its highest frequency, one core where it has several",),
    ),
    "pytorch-gpu-benchmark": Repository(
        "https://github.com/ryujaehun/pytorch-gpu-benchmark",
        "MIT",
        2021,
        ("small networks are bound by the launch of kernels on the host: about 5 ms is the least",),
    ),
    "tengine": Repository("https://github.com/OAID/Tengine", "Apache-2.0", 2021, ("averages of 5 or 8 runs",)),
    "misc": Repository("several, as the rows name them", "not stated", 0),
    "axera": Repository("https://github.com/AXERA-TECH/ax-samples", "BSD-3-Clause", 2025),
    "sophgo": Repository("https://github.com/sophgo/sophon-demo", "BSD-2-Clause", 2025),
    "drobotics": Repository("https://github.com/D-Robotics/rdk_model_zoo", "Apache-2.0", 2025),
    "vitis-ai": Repository("https://github.com/Xilinx/Vitis-AI", "Apache-2.0", 2023),
    "nxp": Repository("https://github.com/NXP/eiq-model-zoo", "MIT", 2024),
    "hosted-models": Repository("https://github.com/tensorflow/tensorflow", "Apache-2.0", 2020),
    "timm": Repository(
        "https://github.com/huggingface/pytorch-image-models",
        "Apache-2.0",
        2025,
        ("one forward pass; on GPUs at the largest batch that fitted",),
    ),
    "ncnn": Repository(
        "https://github.com/Tencent/ncnn",
        "BSD-3-Clause",
        2025,
        ("averages of 4 to 64 runs, contributed by many, with a version of ncnn that is not stated",),
        ("networks in floats ran in 16 bits where the core has such arithmetic, else in 32",),
    ),
    "ai-hub": Repository(
        "https://github.com/quic/ai-hub-models",
        "BSD-3-Clause",
        2025,
        ("measured on devices that Qualcomm hosts; a few layers may have run on another unit of the chip",),
    ),
}

_ROUNDS: dict[str, tuple[str, int]] = {
    **{f"v{number}": (f"{_RESULTS}v{number}", year)
       for number, year in {"0.5": 2019, "0.7": 2020, "1.0": 2021, "1.1": 2021, "2.0": 2022, "2.1": 2022,
                            "3.0": 2023}.items()},
    "ctuning-sub-v3.1a": ("https://github.com/ctuning/mlperf_inference_submissions_v3.1a", 2023),
}  # fmt: skip
_LICENSES_OF_MISC = {
    "Tencent/TNN": "BSD-3-Clause",
    "alibaba/MNN": "Apache-2.0",
    "Deci-AI/super-gradients": "Apache-2.0",
    "NVIDIA-AI-IOT/torch2trt": "MIT",
    "jcjohnson/cnn-benchmarks": "MIT",
    "open-mmlab/mmdeploy": "Apache-2.0",
}


def repository_of(source: str, reference: str) -> Repository:
    """Where a row was published.

    Args:
        source: the table.
        reference: where the row stands, as the table has it.
    """
    known = PUBLISHED.get(source, UNKNOWN)
    if source == "mlperf-open" and (found := _ROUNDS.get(reference.partition(":")[0])):
        return replace(known, url=found[0], year=found[1])
    name = reference.partition(" ")[0]
    if source == "misc" and name in _LICENSES_OF_MISC:
        return replace(known, url=f"https://github.com/{name}", license=_LICENSES_OF_MISC[name])
    return known


_UNITS = ("cpu", "gpu", "npu", "vpu", "fpga", "dsp", "tpu")


def device_words(kind: str) -> tuple[str, str]:
    """What a device is a part of, and what executes its networks: `board-cpu` is a board's cpu, `npu` a chip's npu."""
    place, _, unit = kind.lower().rpartition("-")
    if unit not in _UNITS:
        place, unit = unit, "cpu"
    return place or "chip", unit
