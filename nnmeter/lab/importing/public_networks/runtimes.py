"""Which fusion rules the runtimes of published tables have: a rule set that ships, its parameters, source and reason.

Rules:

1. Where a runtime's own documentation or code says what it fuses, that is taken, and `source` names it.
2. Where nothing is known, `known` is false, and the card of the pack says so. The rules are the plainest that all
   engines have, an activation runs inside of the convolution before it, or that and sums, until the errors of networks
   that were left out speak for others by twice their standard error (`benchmarks/public_rules.py`).
3. What decides between alternatives is never a network that is kept aside: there a fifth of all is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Fusion:
    """The fusion rules of a family of runtimes.

    Attributes:
        rules: a rule set of the package.
        source: where it can be seen what the runtime fuses.
        reason: what it fuses, in a sentence.
        parameters: of the rule set, those that differ from its own.
        known: whether the source tells; false where the plainest rules are taken (rule 2).
    """

    rules: str
    source: str
    reason: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    known: bool = True


_TFLITE = Fusion(
    "tflite21_cpu",
    "tensorflow/lite/schema/schema.fbs (ActivationFunctionType)",
    "Operators have a fused activation, Relu or Relu6.",
)
_XNNPACK = Fusion(
    "tflite21_cpu",
    "tensorflow/lite/delegates/xnnpack/README.md",
    "XNNPACK clamps inside of its kernels, as TFLite's fused activations do; hard swish is a kernel of its own.",
    {"hard_swish_joins": False},
)
_ARMNN = Fusion(
    "inference_engine",
    "arm-software.github.io/armnn (optimizations: FuseBatchNorm, FuseActivationIntoPreviousLayer)",
    "Batch normalizations and activations go into the layer before; sums are layers of their own.",
)
_TENSORRT = Fusion(
    "tensorrt_cuda",
    "NVIDIA's TensorRT developer guide, 'Types of Fusions'",
    "Activations, and residual sums behind a convolution, are part of the convolution.",
)
_OPENVINO = Fusion(
    "inference_engine",
    "docs.openvino.ai, 'CPU device' (fusing of convolution, simple operations and sum)",
    "A convolution takes activations and the residual sum; chains of element-wise operators are one kernel.",
    {"sums_join": True, "chains_join": True},
)
_TFLITE_GPU = Fusion(
    "tflite_gpu",
    "tensorflow/lite/delegates/gpu/cl/inference_context.cc (Merge)",
    "Element-wise operators, sums included, are linked into the operation before them.",
)
_NCNN = Fusion(
    "inference_engine",
    "Tencent/ncnn, tools/ncnnoptimize.cpp (fuse_convolution_batchnorm, fuse_convolution_activation)",
    "Normalizations and activations go into convolutions; sums and concatenations are layers of their own.",
    {"sum_activation": False},
)
_TVM = Fusion(
    "inference_engine",
    "tvm.apache.org, 'Relay: FuseOps' (injective operators join a convolution)",
    "Element-wise operators, sums included, join the convolution before them; chains are one kernel.",
    {"sums_join": True, "chains_join": True},
)
_EAGER = Fusion(
    "framework",
    "pytorch.org (eager execution)",
    "Every operator is a kernel of its own.",
)
_INDUCTOR = Fusion(
    "framework",
    "pytorch.org/docs/stable/torch.compiler.html",
    "Convolutions and products are kernels of libraries; chains of element-wise operators are one kernel.",
    {"chains_join": True},
)
_QNN = Fusion(
    "inference_engine",
    "docs.qualcomm.com, Qualcomm AI Engine Direct, HTP (graph optimizations are named, not listed)",
    "Chosen by the errors of networks left out (benchmarks/public_rules.py): activations run inside of convolutions, "
    "sums on their own.",
    known=False,
)
_ONNXRUNTIME_QNN = replace(
    _QNN,
    reason="Chosen by the errors of networks left out (benchmarks/public_rules.py): of activations rectifiers "
    "alone run inside of convolutions, sums on their own.",
    parameters={"activations_join": False},
)
_PLAIN = Fusion(
    "inference_engine",
    "none: the runtime does not publish what it fuses",
    "Taken: activations run inside of convolutions, sums on their own.",
    known=False,
)
_PLAIN_SUMS = Fusion(
    "inference_engine",
    "none: the runtime does not publish what it fuses",
    "Taken: activations and sums run inside of convolutions.",
    {"sums_join": True},
    known=False,
)

FUSIONS: dict[str, Fusion] = {
    "tflite": _TFLITE,
    "tflite-ruy": _TFLITE,
    "tflite-micro": _TFLITE,
    "tflite-nnapi": _TFLITE,
    "tensorflow": _TFLITE,
    "tflite-xnnpack": _XNNPACK,
    "tflite-gpu": _TFLITE_GPU,
    "armnn-neon": _ARMNN,
    "armnn-opencl": _ARMNN,
    "tensorrt": _TENSORRT,
    "tensorflow-tensorrt": _TENSORRT,
    "tensorflow-tensorrt-dynamic": _TENSORRT,
    "paddle-tensorrt": _TENSORRT,
    "openvino": _OPENVINO,
    "paddle-inference": _OPENVINO,
    "paddle-lite": _NCNN,
    "paddle-lite-opencl": _NCNN,
    "ncnn": _NCNN,
    "ncnn-vulkan": _NCNN,
    "mnn": _NCNN,
    "mnn-vulkan": _NCNN,
    "tnn": _NCNN,
    "tnn-opencl": _NCNN,
    "tengine-lite": _NCNN,
    "tvm-mera-cpu": _TVM,
    "drp-ai-tvm": _TVM,
    "pytorch": _EAGER,
    "torch7": _EAGER,
    "pytorch-channels-last": _EAGER,
    "pytorch-dynamo": _INDUCTOR,
    "onnxruntime-qnn": _ONNXRUNTIME_QNN,
    "onnxruntime-qnn-precompiled": _ONNXRUNTIME_QNN,
    "qnn-context-binary": _QNN,
    "qnn-dlc": _QNN,
    "hailort": _PLAIN_SUMS,
    "rknn": _PLAIN_SUMS,
    "vitis-ai-library": _PLAIN_SUMS,
}

# Element type of the arithmetic by what a table calls the precision, and the parameter of rule sets that says so.
TYPES: dict[str, tuple[str, str]] = {
    "": ("float32", ""),
    "fp32": ("float32", ""),
    "float32": ("float32", ""),
    "fp16": ("float16", "float16"),
    "float16": ("float16", "float16"),
    "amp-fp16": ("float16", "float16"),
    "bf16": ("bfloat16", "bfloat16"),
    "amp-bf16": ("bfloat16", "bfloat16"),
    "int8": ("int8", "int8"),
    "w8a8": ("int8", "int8"),
    "w8a8_mixed_int16": ("int8", "int8"),
    "w8a16": ("float16", "float16"),  # activations of 16 bits; weights of 8 are not told apart
    "w8a16_mixed_fp16": ("float16", "float16"),
    "w8a16_mixed_int16": ("float16", "float16"),
    "w16a16": ("float16", "float16"),
}


def fusion_of(runtime: str) -> Fusion:
    """The fusion rules of a runtime; the plainest ones for one that is not in the table (rule 2)."""
    return FUSIONS.get(runtime, _PLAIN)
