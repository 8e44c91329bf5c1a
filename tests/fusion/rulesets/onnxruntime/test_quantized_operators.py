"""Groups of dequantize, operator and quantize."""

import numpy as np

from nnmeter.fusion.rulesets.onnxruntime import quantized_operators
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

Q, DQ = "QuantizeLinear", "DequantizeLinear"
SCALE = {"s": f32(0.1), "z": np.uint8(128)}
X, Y = "float[4,8] x", "float[4,8] y"
GROUP = f"q={Q}(x,s,z) d={DQ}(q,s,z) e={{}} r={Q}(e,s,z) y={DQ}(r,s,z)"


def test_a_sigmoid_between_becomes_one_of_integers() -> None:
    kinds = applied(quantized_operators.QUANTIZED_OPERATORS, X, Y, GROUP.format("Sigmoid(d)"), **SCALE)
    assert kinds == f"{Q} com.microsoft.QLinearSigmoid {DQ}"


def test_what_only_moves_data_moves_integers() -> None:
    kinds = applied(quantized_operators.QUANTIZED_OPERATORS, X, "float[8,4] y", GROUP.format("Transpose(d)"), **SCALE)
    assert kinds == f"{Q} Transpose {DQ}"


def test_an_operator_without_a_form_for_integers_stays() -> None:
    kinds = applied(quantized_operators.QUANTIZED_OPERATORS, X, Y, GROUP.format("Exp(d)"), **SCALE)
    assert kinds == f"{Q} {DQ} Exp {Q} {DQ}"


def test_signed_activations_become_unsigned_unless_the_processor_multiplies_them() -> None:
    text = f"agraph ({X}) => ({Y}) {{ q={Q}(x,s,z) d={DQ}(q,s,z) y=Exp(d) }}"
    found = []
    for signed in (False, True):
        parameters = {"signed_activations": signed}
        passes = quantized_operators.UNSIGNED_ACTIVATIONS
        graph = rewritten(passes, text, 18, parameters, s=f32(0.1), z=np.int8(0))
        found.append(graph.types[next(iter(graph.ordered())).outputs[0]].dtype)
    assert found == ["uint8", "int8"]
