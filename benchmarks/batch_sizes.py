"""Models of several batch sizes from models of one, for measuring how predictions follow the batch.

    python benchmarks/batch_sizes.py data/zoo OUT [--batches 1,2,4,8,16] [--only NAME]...
    nnmeter measure OUT --out batches.parquet
    nnmeter evaluate PACK --measurements batches.parquet --models OUT

The first dimension of every input and output becomes the batch, and so does a leading 1 of the shape that a Reshape is
given; a model whose results then do not have it is left out and named. Weights are not touched: `data/zoo` has none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import onnx
import onnx.numpy_helper

from nnmeter import load_model
from nnmeter.errors import NnmeterError

MODELS = (
    "resnet18-224 resnet50d-176 mobilenet_v2-160 squeezenet1_1-224 densenet169-160 shufflenet_v2_x0_5-224 vgg11_bn-160"
)


def with_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """The model with another leading dimension of inputs and outputs, and without the types in between."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    weights = {tensor.name for tensor in changed.graph.initializer}
    for value in [*changed.graph.input, *changed.graph.output]:
        if value.name not in weights:
            value.type.tensor_type.shape.dim[0].dim_value = batch
    del changed.graph.value_info[:]
    reshapes = [node for node in changed.graph.node if node.op_type == "Reshape"]
    for node in reshapes:
        del node.attribute[:]  # allowzero, under which 0 is a size
    shapes = {node.input[1] for node in reshapes}
    stored = {tensor.name: tensor for tensor in changed.graph.initializer}
    stored |= {n.output[0]: n.attribute[0].t for n in changed.graph.node if n.op_type == "Constant"}
    for name in shapes & stored.keys():
        sizes = onnx.numpy_helper.to_array(stored[name]).copy()
        if sizes.size and sizes[0] == 1:
            sizes[0] = 0  # as many as the input has
            stored[name].CopyFrom(onnx.numpy_helper.from_array(sizes, stored[name].name))
    return changed


def carries(model: onnx.ModelProto, batch: int) -> bool:
    """Whether the batch reaches every result."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for value in bare.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = load_model(bare)
    return all(graph.types[name].shape[:1] == (batch,) for name in graph.outputs)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write models of several batch sizes.")
    parser.add_argument("zoo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--batches", default="1,2,4,8,16")
    parser.add_argument("--only", action="append", default=[], help="name of a model without suffix; repeatable")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    left_out = []
    for name in arguments.only or MODELS.split():
        model = onnx.load(arguments.zoo / f"{name}.onnx", load_external_data=False)
        for batch in map(int, arguments.batches.split(",")):
            changed = with_batch(model, batch)
            try:
                fits = carries(changed, batch)
            except NnmeterError:
                fits = False
            if not fits:
                left_out.append(f"{name} at {batch}")
                continue
            onnx.save(changed, arguments.out / f"{name}-batch{batch}.onnx")
    print(f"{len(list(arguments.out.glob('*.onnx')))} models in {arguments.out}")
    if left_out:
        print(f"left out, the batch is written into the model: {', '.join(left_out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
