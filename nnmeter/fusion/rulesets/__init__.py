"""Rule sets that ship with the package: which there are, for which runtime, and the modules that state them.

A rule set is written in Python (`builder`) and compiled to JSON in `compiled/`, which is all that a prediction reads.
`python -m nnmeter.fusion.rulesets` compiles them; a test asserts that what is checked in is what they compile to.
This module imports none of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shipped:
    """A rule set of the package.

    Attributes:
        runtime: the runtime and the hardware that it describes.
        module: the module that states it, and the name in it.
    """

    runtime: str
    module: str


# What others include stands before them.
RULE_SETS: dict[str, Shipped] = {
    "onnxruntime_unoptimized": Shipped(
        "ONNX Runtime on CPUs, no optimizations", "nnmeter.fusion.rulesets.onnxruntime:UNOPTIMIZED"
    ),
    "onnxruntime_basic": Shipped(
        "ONNX Runtime on CPUs, basic optimizations", "nnmeter.fusion.rulesets.onnxruntime:BASIC_ONLY"
    ),
    "onnxruntime_extended": Shipped(
        "ONNX Runtime on CPUs, basic and extended optimizations", "nnmeter.fusion.rulesets.onnxruntime:UP_TO_EXTENDED"
    ),
    "onnxruntime_cpu": Shipped("ONNX Runtime on CPUs", "nnmeter.fusion.rulesets.onnxruntime:RULE_SET"),
    "openvino_cpu": Shipped("OpenVINO on CPUs", "nnmeter.fusion.rulesets.openvino:RULE_SET"),
    "mnn_cpu": Shipped("MNN on CPUs", "nnmeter.fusion.rulesets.mnn:RULE_SET"),
    "tract_cpu": Shipped("tract on CPUs", "nnmeter.fusion.rulesets.tract:RULE_SET"),
    "plain_network": Shipped(
        "what the rule sets of phones and accelerators begin with",
        "nnmeter.fusion.rulesets.mobile.plain_network:RULE_SET",
    ),
    "tflite21_cpu": Shipped("TFLite 2.1 on CPUs of phones", "nnmeter.fusion.rulesets.mobile.tflite:CPU"),
    "tflite21_gpu": Shipped("TFLite 2.1 on GPUs of phones", "nnmeter.fusion.rulesets.mobile.tflite:GPU_21"),
    "tflite_gpu": Shipped("TFLite 2.x on GPUs of phones", "nnmeter.fusion.rulesets.mobile.tflite:GPU"),
    "openvino2019r2_myriad": Shipped(
        "OpenVINO 2019 R2 on the Myriad accelerator", "nnmeter.fusion.rulesets.mobile.openvino_myriad:RULE_SET"
    ),
    "tensorrt_cuda": Shipped("TensorRT on GPUs of NVIDIA", "nnmeter.fusion.rulesets.mobile.tensorrt:RULE_SET"),
    "inference_engine": Shipped(
        "engines whose times were published as tables", "nnmeter.fusion.rulesets.mobile.engines:ENGINE"
    ),
    "framework": Shipped(
        "frameworks whose times were published as tables", "nnmeter.fusion.rulesets.mobile.engines:FRAMEWORK"
    ),
}
