"""Where published tables come from, and what their kinds of devices are called here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Repository:
    """A public repository with latencies.

    Attributes:
        url: where it is.
        license: SPDX identifier of what the figures are published under.
        year: of the newest figures.
    """

    url: str
    license: str
    year: int


UNKNOWN = Repository("not stated", "not stated", 0)

PUBLISHED: dict[str, Repository] = {
    "mlperf-open": Repository("https://github.com/mlcommons/inference_results_v3.0", "Apache-2.0", 2023),
    "renesas": Repository("https://github.com/renesas-rz/rzv_drp-ai_tvm", "Apache-2.0", 2025),
    "openvino": Repository("https://github.com/openvinotoolkit/openvino", "Apache-2.0", 2022),
    "netspresso": Repository("https://github.com/Nota-NetsPresso/netspresso-trainer", "Apache-2.0", 2024),
    "paddle": Repository("https://github.com/PaddlePaddle/PaddleClas", "Apache-2.0", 2024),
    "hailo": Repository("https://github.com/hailo-ai/hailo_model_zoo", "MIT", 2025),
    "rknn": Repository("https://github.com/airockchip/rknn_model_zoo", "Apache-2.0", 2025),
    "pytorch-gpu-benchmark": Repository("https://github.com/ryujaehun/pytorch-gpu-benchmark", "MIT", 2021),
    "tengine": Repository("https://github.com/OAID/Tengine", "Apache-2.0", 2021),
    "misc": Repository("https://github.com/Tencent/TNN and others, as the rows name them", "BSD-3-Clause", 2023),
    "axera": Repository("https://github.com/AXERA-TECH/ax-samples", "BSD-3-Clause", 2025),
    "sophgo": Repository("https://github.com/sophgo/sophon-demo", "BSD-2-Clause", 2025),
    "drobotics": Repository("https://github.com/D-Robotics/rdk_model_zoo", "Apache-2.0", 2025),
    "vitis-ai": Repository("https://github.com/Xilinx/Vitis-AI", "Apache-2.0", 2023),
    "nxp": Repository("https://github.com/NXP/eiq-model-zoo", "MIT", 2024),
    "hosted-models": Repository("https://github.com/tensorflow/tensorflow", "Apache-2.0", 2020),
    "timm": Repository("https://github.com/huggingface/pytorch-image-models", "Apache-2.0", 2025),
    "ncnn": Repository("https://github.com/Tencent/ncnn", "BSD-3-Clause", 2025),
    "ai-hub": Repository("https://github.com/quic/ai-hub-models", "BSD-3-Clause", 2025),
}

_UNITS = ("cpu", "gpu", "npu", "vpu", "fpga", "dsp", "tpu")


def device_words(kind: str) -> tuple[str, str]:
    """What a device is a part of, and what executes its networks: `board-cpu` is a board's cpu, `npu` a chip's npu."""
    place, _, unit = kind.lower().rpartition("-")
    if unit not in _UNITS:
        place, unit = unit, "cpu"
    return place or "chip", unit
