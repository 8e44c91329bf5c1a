"""Whose fault it is where a kernel cannot be described: the model's, if ONNX's definition of the operator refuses it.

What a model says is checked when its shapes are bound; kernels that are read from other files are not bound. So a fault
is blamed on the kernel only where that can be shown, and is one of nnmeter otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nnmeter.errors import ModelError, NnmeterError
from nnmeter.kernels.kernel import KernelSignature

_OPSET = 22  # names of kernels are those of current operators


@contextmanager
def checked_kernel(signature: KernelSignature) -> Iterator[None]:
    """Name the kernel where what is asked of it fails and its signature is not what its operator can have.

    Raises:
        ModelError: in place of what the block raised, if the signature is impossible.
    """
    try:
        yield
    except NnmeterError:
        raise
    except Exception as fault:
        wrong = contradiction(signature)
        if wrong is None:
            raise
        seen = ", ".join("absent" if tensor is None else str(tensor) for tensor in signature.inputs) or "no inputs"
        raise ModelError(
            f"kernel {signature.type}: its inputs or attributes do not fit the operator ({seen}: {wrong}); "
            "check the model"
        ) from fault


def contradiction(signature: KernelSignature) -> str | None:
    """What of a kernel's inputs ONNX's definition of its operator does not allow; None where it says nothing.

    Inputs that a runtime has made attributes (axes, sizes) are missing from a kernel, so of a missing input only those
    before the first one that is there, and those of an operator without any, are counted.
    """
    from onnx import defs, helper, shape_inference

    from nnmeter.graph.dtypes import CODE_OF_DTYPE

    try:
        schema = defs.get_schema(signature.op_type, _OPSET, signature.domain)
    except defs.SchemaError:
        return None
    present = [position for position, tensor in enumerate(signature.inputs) if tensor is not None]
    if schema.min_input and (not present or present[0] > 0):
        return "its first input is missing"
    names = [f"x{i}" if tensor is not None else "" for i, tensor in enumerate(signature.inputs)]
    kinds = {
        name: helper.make_tensor_type_proto(CODE_OF_DTYPE[tensor.dtype], tensor.shape)
        for name, tensor in zip(names, signature.inputs, strict=True)
        if tensor is not None
    }
    outputs = [f"y{i}" for i in range(len(signature.outputs))]
    node = helper.make_node(signature.op_type, names, outputs, domain=signature.domain)
    node.attribute.extend(
        helper.make_attribute(name, value)
        for name, value in signature.attributes
        if name in schema.attributes and value != ()
    )
    imports = [helper.make_opsetid(signature.domain, _OPSET)]
    try:
        shape_inference.infer_node_outputs(schema, node, kinds, {}, opset_imports=imports)
    except (RuntimeError, shape_inference.InferenceError) as refusal:
        return " ".join(str(refusal).split())[:200]
    return None
