"""Writes quantized and half-precision variants of the zoo, without weights, as ONNX Runtime's own tools make them.

    pip install 'nnmeter[quantize]'
    python benchmarks/quantize_zoo.py data/zoo data/zoo-quantized [--only PATTERN]

1. A model gets random weights (nnmeter/lab/runtimes/weights.py), is converted by the tool that its variant names
   (`VARIANTS`) and loses all initializers above 16 elements (256 where they are shapes or masks) again: they keep shape
   and type and point to external data that is not there, as in the zoo. Scales and zero points of single tensors stay,
   so what the runtime compares stays equal. Nodes and tensors get short names.
   Where a random model stores several equal weights as one, as exporters do with biases of zeros, they are stored apart
   first: trained ones never are equal, and a shared bias cannot be quantized for two convolutions.
2. Ranges of activations come from one random input: they decide no time. Models are prepared with the quantizer's own
   `quant_pre_process` in the variants that say so, as its documentation advises and half of its users do.
3. `PLAN` says which models get which variants. Families are those of the zoo; all variants of a model share one.
4. A variant counts only if ONNX Runtime runs it. What cannot be converted or run is named and left out.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.lab.runtimes import load_runtime
from nnmeter.lab.runtimes.weights import load_with_weights, random_inputs

LARGEST_KEPT, LARGEST_SCALES = 256, 16  # elements of an initializer that stays in the file: shapes and such, others
KEPT_TYPES = (onnx.TensorProto.INT64, onnx.TensorProto.BOOL)
MARKER = "weights-not-included"

Convert = Callable[[Path, Path], onnx.ModelProto]


class RandomReader:
    """The calibration data of one random input."""

    def __init__(self, path: Path) -> None:
        graph = bind_shapes(read_model(path))
        model = onnx.load(path, load_external_data=False)
        shapes = {name: graph.types[name].shape for name in graph.inputs}
        self._feeds: Iterator[dict[str, np.ndarray[Any, Any]]] = iter([random_inputs(model, shapes)])

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        """The next input, None after the last."""
        return next(self._feeds, None)

    def __iter__(self) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
        return self._feeds


def static(
    activation: str = "QUInt8", weight: str = "QInt8", form: str = "QDQ", prepared: bool = False, **options: Any
) -> Convert:
    """Static quantization with the given types, in the QDQ or the QOperator form."""

    def convert(source: Path, place: Path) -> onnx.ModelProto:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        if prepared:
            quant_pre_process(str(source), str(place / "prepared.onnx"), skip_symbolic_shape=False)
            source = place / "prepared.onnx"
        quantize_static(
            str(source),
            str(place / "quantized.onnx"),
            RandomReader(source),
            quant_format=QuantFormat[form],
            activation_type=QuantType[activation],
            weight_type=QuantType[weight],
            **options,
        )
        return onnx.load(place / "quantized.onnx")

    return convert


def dynamic(weight: str = "QInt8", **options: Any) -> Convert:
    """Dynamic quantization with weights of the given type."""

    def convert(source: Path, place: Path) -> onnx.ModelProto:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(str(source), str(place / "quantized.onnx"), weight_type=QuantType[weight], **options)
        return onnx.load(place / "quantized.onnx")

    return convert


def half(**options: Any) -> Convert:
    """All of a model in float16, by the converter that ships with ONNX Runtime."""

    def convert(source: Path, place: Path) -> onnx.ModelProto:
        from onnxruntime.transformers.float16 import convert_float_to_float16

        return convert_float_to_float16(onnx.load(source), **options)

    return convert


def blocks(bits: int, block_size: int, symmetric: bool, accuracy: int | None, **options: Any) -> Convert:
    """Weights of products (and tables, where asked) in blocks of 4 or 8 bits."""

    def convert(source: Path, place: Path) -> onnx.ModelProto:
        from onnxruntime.quantization.matmul_nbits_quantizer import (
            DefaultWeightOnlyQuantConfig,
            MatMulNBitsQuantizer,
            QuantFormat,
        )

        types = tuple(options.get("op_types", ("MatMul",)))
        config = DefaultWeightOnlyQuantConfig(
            block_size=block_size,
            is_symmetric=symmetric,
            accuracy_level=accuracy,
            quant_format=QuantFormat.QOperator,
            op_types_to_quantize=types,
            quant_axes=(("MatMul", 0), ("Gather", 1)),
            bits=bits,
        )
        quantizer = MatMulNBitsQuantizer(onnx.load(source), algo_config=config)
        quantizer.process()
        return quantizer.model.model

    return convert


VARIANTS: dict[str, Convert] = {
    "qdq-u8s8-channel": static(per_channel=True, prepared=True),
    "qdq-u8s8": static(),
    "qdq-s8s8": static("QInt8", prepared=True),
    "qdq-u8u8": static("QUInt8", "QUInt8"),
    "qdq-s8s8-channel": static(
        "QInt8", per_channel=True, extra_options={"ActivationSymmetric": True, "WeightSymmetric": True}
    ),
    "qdq-matmul": static(prepared=True, op_types_to_quantize=["MatMul", "Gemm", "Conv"]),
    "qoperator": static("QUInt8", "QUInt8", "QOperator", prepared=True),
    "qoperator-s8": static("QUInt8", "QInt8", "QOperator", prepared=True, per_channel=True),
    "dynamic": dynamic(),
    "dynamic-u8": dynamic("QUInt8"),
    "dynamic-channel": dynamic(per_channel=True, op_types_to_quantize=["MatMul", "Gemm"]),
    "fp16": half(),
    "fp16-io": half(keep_io_types=True),
    "int4-b32": blocks(4, 32, True, None),
    "int4-b32-a4": blocks(4, 32, True, 4),
    "int4-b128-zp-a4": blocks(4, 128, False, 4),
    "int4-b64-table": blocks(4, 64, False, 4, op_types=("MatMul", "Gather")),
    "int8-b32-a4": blocks(8, 32, True, 4),
}

PLAN: dict[str, str] = {
    "alexnet-224": "qdq-u8u8",
    "bert-base-64": "dynamic",
    "bert-mini": "qdq-u8s8-channel dynamic-u8 fp16 int4-b32-a4",
    "bert-tiny": "qdq-s8s8 dynamic-channel int4-b64-table",
    "convnext_atto-224": "qdq-s8s8-channel dynamic fp16",
    "deeplabv3_mobilenet_v3_large-256": "qdq-u8s8-channel",
    "deit_small_patch16_224-224": "dynamic int8-b32-a4",
    "densenet121-224": "qdq-u8s8-channel",
    "distilbert-128": "qdq-matmul dynamic",
    "dla34-224": "qoperator",
    "dla46_c-224": "qdq-s8s8",
    "efficientnet_b0-224-ts17": "qdq-u8s8 fp16-io",
    "efficientnet_b1-240": "qdq-s8s8-channel",
    "fdmobilenet_w1-224": "qdq-u8u8",
    "ghostnet_100-224": "qdq-u8s8-channel fp16",
    "googlenet-224": "qdq-u8s8 qoperator",
    "gpt2-64": "dynamic int4-b32",
    "hrnet_w18_small-224": "qdq-s8s8",
    "inception_v3-299": "qdq-u8s8-channel",
    "llama-160m-32": "dynamic-u8 int4-b128-zp-a4 fp16",
    "lraspp_mobilenet_v3_large-256": "qoperator-s8",
    "mixer_s32_224-224": "qdq-u8s8 dynamic",
    "mnasnet0_5-224": "qdq-s8s8",
    "mnasnet1_0-224": "qoperator-s8",
    "mobilenet_v2-224": "qdq-u8s8-channel dynamic",
    "mobilenet_v2-224-ts11": "qdq-u8s8",
    "mobilenet_v3_large-224": "qdq-u8s8-channel",
    "mobilenet_v3_small-224": "qdq-s8s8 fp16",
    "mobilenet_w1-224": "qdq-s8s8-channel",
    "regnet_x_400mf-224": "qdq-u8u8",
    "regnety_008-224": "qdq-u8s8-channel",
    "repvgg_a0-224": "qdq-s8s8",
    "resnet18-160-b4": "qdq-u8s8-channel",
    "resnet18-224": "qoperator-s8 dynamic fp16-io",
    "resnet50-224-ts13": "qdq-s8s8-channel",
    "resnet50d-176": "qdq-u8u8",
    "resnext50_32x4d-224": "qdq-u8s8",
    "seresnet50-160": "qdq-s8s8",
    "shufflenet_g3_w1-224": "qdq-u8s8-channel",
    "shufflenet_v2_x1_0-224": "qdq-u8s8 qoperator",
    "squeezenet1_1-224": "qdq-s8s8-channel fp16",
    "squeezeresnet_v1_1-224": "qoperator",
    "swin_tiny_patch4_window7_224-224": "qdq-matmul dynamic",
    "vgg11_bn-160": "qdq-u8s8",
    "vit_small_patch32_224-224": "qdq-s8s8-channel int4-b32",
    "vit_tiny_patch16_224-224": "qdq-u8s8 dynamic-u8 fp16-io",
    "whisper-tiny-encoder": "qdq-u8s8 dynamic int4-b32-a4",
}


def main() -> int:
    """Write all variants of the plan, and the list of their families."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("zoo", type=Path, help="folder of models with families.csv")
    parser.add_argument("output", type=Path, help="folder for the variants")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="variants whose name fits, as model.variant")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # the quantizer's, one a node
    options.output.mkdir(parents=True, exist_ok=True)
    with open(options.zoo / "families.csv", encoding="utf-8") as stream:
        families = {row["model"]: row["family"] for row in csv.DictReader(stream)}
    left_out = 0
    for model, names in PLAN.items():
        for name in names.split():
            if fnmatch.fnmatchcase(f"{model}.{name}", options.only):
                left_out += not write_variant(options.zoo / f"{model}.onnx", name, options.output)
    rows = [
        (path.name, families[f"{path.name.rsplit('.', 2)[0]}.onnx"]) for path in sorted(options.output.glob("*.onnx"))
    ]
    with open(options.output / "families.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("model", "family"))
        writer.writerows(rows)
    print(f"{len(rows)} models in {options.output}, {left_out} left out")
    return 1 if left_out else 0


def write_variant(source: Path, name: str, output: Path) -> bool:
    """Convert one model, and write it without weights; whether ONNX Runtime runs it."""
    target = output / f"{source.stem}.{name}.onnx"
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            whole = load_with_weights(source)
            unshare_biases(whole.graph)
            onnx.save(whole, place / "whole.onnx")
            converted = VARIANTS[name](place / "whole.onnx", place)
        strip_weights(converted)
        onnx.save(converted, target)
        compiled = load_runtime("onnxruntime").compile(target)
        compiled.run()
        compiled.close()
    except (NnmeterError, Exception) as fault:  # each tool has its own errors (rule 4)
        target.unlink(missing_ok=True)
        print(f"{target.stem:<52} left out: {type(fault).__name__}: {' '.join(str(fault).split())[:200]}", flush=True)
        return False
    print(f"{target.stem:<52} {len(converted.graph.node):5} nodes {target.stat().st_size / 1e3:8.1f} kB", flush=True)
    return True


def unshare_biases(graph: onnx.GraphProto) -> None:
    """Give each convolution and product a bias of its own (rule 1)."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    same = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    seen: set[str] = set()
    for number, node in enumerate(graph.node):
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
            continue
        name = node.input[2]
        while name in same:
            name = same[name]
        if name in stored and name in seen:
            copy = graph.initializer.add()
            copy.CopyFrom(stored[name])
            copy.name = node.input[2] = f"{name}_{number}"
        seen.add(name)
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.output[0] not in read]:
        graph.node.remove(node)


def strip_weights(model: onnx.ModelProto) -> None:
    """Take away the large initializers and what else needs no place (rule 1)."""
    graph = model.graph
    del graph.value_info[:], graph.metadata_props[:]
    graph.doc_string = ""
    outside = {value.name for value in (*graph.input, *graph.output)}
    short = {"": ""} | {name: name for name in outside}
    for number, node in enumerate(graph.node):
        node.doc_string, node.name = "", f"n{number}"
        del node.metadata_props[:]
        for names in (node.input, node.output):
            names[:] = [short.setdefault(name, f"t{len(short)}") for name in names]
    used = {name for node in graph.node for name in node.input} | outside
    kept = [tensor for tensor in graph.initializer if short.get(tensor.name) in used]
    for tensor in kept:
        tensor.name = short[tensor.name]
        tensor.doc_string = ""
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for tensor in model.graph.initializer:
        largest = LARGEST_KEPT if tensor.data_type in KEPT_TYPES else LARGEST_SCALES
        if np.prod(tensor.dims, dtype=np.int64) <= largest:
            continue
        absent = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        absent.data_location = onnx.TensorProto.EXTERNAL
        absent.external_data.add(key="location", value=MARKER)
        tensor.CopyFrom(absent)


if __name__ == "__main__":
    sys.exit(main())
