"""The catalogue: operators, the tensors that they take, and which are tried behind which. Data only.

1. A *domain* is a kind of tensor: its shape, and the operators that write it in every model of a test (`prelude`).
   Images come out of a convolution and an average (a runtime may swap a maximum and an activation), so that a runtime
   which keeps images in a layout of its own has them in that layout already, in all models of a test alike: no
   conversion is mistaken for an operator or for a fusion.
2. An *operator* is one node, or a few that exporters write for one, in ONNX's text form: it reads `x` and writes `y`.
   `r` is another tensor of the domain, `o` the tensor that the first operator of the test reads (so that
   `Sigmoid > Mul origin` is a SiLU). Names in `weights` are constants; all others are its own.
3. Sizes are symbols: `{C}` in texts, "C" in shapes. `SIZES` gives them values, smallest first.
4. A test `A B > C` asks whether `C`, appended to `A B`, becomes part of a kernel that is there already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Symbol = int | str


class Shape(NamedTuple):
    """A weight of this shape, drawn at random."""

    sizes: tuple[Symbol, ...]


class Integers(NamedTuple):
    """A constant of whole numbers: a shape, paddings."""

    values: tuple[Symbol, ...]


class Floats(NamedTuple):
    """A constant of numbers that an operator is configured with: factors of a resize."""

    values: tuple[float, ...]


class Scalar(NamedTuple):
    """A constant of one number; where `exact`, a rule holds for this number only."""

    value: float
    exact: bool = False


Weight = Shape | Integers | Floats | Scalar


@dataclass(frozen=True)
class Domain:
    """A kind of tensor (rule 1); `prelude` names the operators that every model of the domain starts with."""

    name: str
    shape: tuple[Symbol, ...]
    prelude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operator:
    """One operator of the catalogue (rule 2).

    Attributes:
        name: as tests call it.
        takes: domains that it can read.
        body: its nodes in ONNX's text form.
        weights: its constants.
        gives: the domain that it writes; the one that it reads if empty.
        absorbed: it can be folded into the constants of the operator before it, so that the kernel keeps its name
            (`Conv`, not `Conv+BatchNormalization`).
        where: conditions of a rule on `x`, `y`, weights and nodes `n0`, `n1`, ...
        (`nnmeter/fusion/engine/expressions.py`).
    """

    name: str
    takes: tuple[str, ...]
    body: str
    weights: Mapping[str, Weight] = field(default_factory=dict)
    gives: str = ""
    absorbed: bool = False
    where: tuple[Any, ...] = ()


# Values of the symbols, smallest first; N is the number of equal branches of a model.
SIZES: tuple[dict[str, int], ...] = (
    {"N": 8, "C": 16, "C2": 32, "H": 6, "H2": 12, "HP": 8, "M": 8, "K": 32, "S": 8, "D": 32, "A": 2, "DA": 16},
    {"N": 4, "C": 16, "C2": 32, "H": 20, "H2": 40, "HP": 22, "M": 32, "K": 64, "S": 32, "D": 64, "A": 2, "DA": 32},
    {"N": 2, "C": 32, "C2": 64, "H": 48, "H2": 96, "HP": 50, "M": 128, "K": 256, "S": 128, "D": 256, "A": 4, "DA": 64},
)

_FROM_BLOCKS = ("Conv 1x1", "AveragePool")

DOMAINS: dict[str, Domain] = {
    domain.name: domain
    for domain in (
        Domain("image", (1, "C", "H", "H"), _FROM_BLOCKS),
        Domain("padded", (1, "C", "HP", "HP"), _FROM_BLOCKS),
        Domain("doubled", (1, "C", "H2", "H2"), _FROM_BLOCKS),
        Domain("wide", (1, "C2", "H", "H"), ("AveragePool",)),
        Domain("pixel", (1, "C", 1, 1), _FROM_BLOCKS),
        Domain("last", (1, "H", "H", "C")),
        Domain("row", (1, "C")),
        Domain("matrix", ("M", "K")),
        Domain("tokens", (1, "S", "D")),
        Domain("turned", (1, "D", "S")),
        Domain("split", (1, "S", "A", "DA")),
        Domain("heads", (1, "A", "S", "S")),
    )
}

_IMAGE = ("image", "doubled", "wide", "pixel", "padded")
_ROWS = ("matrix", "tokens")
_ANY = tuple(DOMAINS)
_DENSE = (["eq", ["attr", "n0", "group", 1], 1],)
_DEPTHWISE = (["eq", ["attr", "n0", "group", 1], ["dim", "x", 1]], ["gt", ["dim", "x", 1], 1])
_ONE_ELEMENT = (["eq", ["elements", "s"], 1],)
_CHANNELS = Shape(("C", 1, 1))
_PADS = Integers((0, 0, 1, 1, 0, 0, 1, 1))
_GELU = {"q": Scalar(2**0.5, True), "u": Scalar(1.0, True)}
_NORM = {"two": Scalar(2.0, True), "i": Scalar(1e-5)}

_OPERATORS = (
    # What does the work.
    Operator("Conv", _IMAGE, "y = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w)",
             {"w": Shape(("C", "C", 3, 3))}, where=_DENSE),
    Operator("Conv 1x1", _IMAGE, "y = Conv<kernel_shape=[1,1]>(x, w)", {"w": Shape(("C", "C", 1, 1))}, where=_DENSE),
    Operator("Conv unpadded", _IMAGE, "y = Conv<kernel_shape=[3,3]>(x, w)", {"w": Shape(("C", "C", 3, 3))},
             gives="image", where=_DENSE),
    Operator("Conv depthwise", _IMAGE, "y = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group={C}>(x, w)",
             {"w": Shape(("C", 1, 3, 3))}, where=_DEPTHWISE),
    Operator("ConvTranspose", _IMAGE, "y = ConvTranspose<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w)",
             {"w": Shape(("C", "C", 3, 3))}),
    Operator("MaxPool", _IMAGE, "y = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)"),
    Operator("AveragePool", _IMAGE, "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)"),
    Operator("GlobalAveragePool", _IMAGE, "y = GlobalAveragePool(x)", gives="pixel"),
    Operator("Gemm", ("matrix",), "y = Gemm(x, w, b)", {"w": Shape(("K", "K")), "b": Shape(("K",))}),
    Operator("MatMul", ("matrix",), "y = MatMul(x, w)", {"w": Shape(("K", "K"))}),
    Operator("MatMul", ("tokens",), "y = MatMul(x, w)", {"w": Shape(("D", "D"))}),
    Operator("MatMul", ("turned",), "y = MatMul(x, w)", {"w": Shape(("S", "S"))}),
    Operator("MatMul by", ("heads",), "y = MatMul(x, r)"),
    Operator("MatMul onto", ("heads",), "y = MatMul(r, x)"),
    # Normalization.
    Operator("BatchNormalization", _IMAGE, "y = BatchNormalization(x, s, b, m, v)",
             dict.fromkeys("sbmv", Shape(("C",))), absorbed=True),
    Operator("LayerNormalization", ("tokens",), "y = LayerNormalization(x, s, b)", dict.fromkeys("sb", Shape(("D",)))),
    Operator("Softmax", _ANY, "y = Softmax<axis=-1>(x)"),
    # Activations, whole and as exporters write them.
    Operator("Relu", _ANY, "y = Relu(x)"),
    Operator("Clip", _ANY, "y = Clip(x, l, h)", {"l": Scalar(0.0), "h": Scalar(6.0)}),
    Operator("Sigmoid", _ANY, "y = Sigmoid(x)"),
    Operator("Tanh", _ANY, "y = Tanh(x)"),
    Operator("LeakyRelu", _ANY, "y = LeakyRelu<alpha=0.1>(x)"),
    Operator("PRelu", _IMAGE, "y = PRelu(x, s)", {"s": _CHANNELS}),
    Operator("Elu", _ANY, "y = Elu(x)"),
    Operator("Softplus", _ANY, "y = Softplus(x)"),
    Operator("HardSigmoid", _ANY, "y = HardSigmoid<alpha=0.16666667, beta=0.5>(x)"),
    Operator("HardSwish", _ANY, "y = HardSwish(x)"),
    Operator("Erf", _ANY, "y = Erf(x)"),
    Operator("Exp", _ANY, "y = Exp(x)"),
    Operator("SiLU", _ANY, "t = Sigmoid(x) y = Mul(x, t)"),
    Operator("Gelu", _ANY, "a = Div(x, q) b = Erf(a) c = Add(b, u) d = Mul(x, c) y = Mul(d, h)",
             {**_GELU, "h": Scalar(0.5, True)}),
    Operator("Gelu parts", _ANY, "a = Div(x, q) b = Erf(a) c = Add(b, u) y = Mul(x, c)", _GELU),
    Operator("Mul half", _ANY, "y = Mul(x, h)", {"h": Scalar(0.5, True)}),
    Operator("Norm parts", ("tokens",),
             "m = ReduceMean<axes=[-1]>(x) d = Sub(x, m) p = Pow(d, two) v = ReduceMean<axes=[-1]>(p) e = Add(v, i) "
             "t = Sqrt(e) n = Div(d, t) y = Mul(n, s)", {**_NORM, "s": Shape(("D",))}),
    Operator("RMS parts", ("tokens",),
             "p = Pow(x, two) v = ReduceMean<axes=[-1]>(p) e = Add(v, i) t = Sqrt(e) y = Div(x, t)", _NORM),
    # Sums and products.
    Operator("Add", _ANY, "y = Add(x, r)"),
    Operator("Mul", _ANY, "y = Mul(x, r)"),
    Operator("Add origin", _ANY, "y = Add(x, o)"),
    Operator("Mul origin", _ANY, "y = Mul(x, o)"),
    Operator("Add bias", _IMAGE, "y = Add(x, b)", {"b": _CHANNELS}, absorbed=True),
    Operator("Add bias", ("matrix",), "y = Add(x, b)", {"b": Shape(("K",))}, absorbed=True),
    Operator("Add bias", ("tokens",), "y = Add(x, b)", {"b": Shape(("D",))}, absorbed=True),
    Operator("Mul scale", _IMAGE, "y = Mul(x, s)", {"s": _CHANNELS}, absorbed=True),
    Operator("Mul scale", ("matrix",), "y = Mul(x, s)", {"s": Shape(("K",))}, absorbed=True),
    Operator("Mul scale", ("tokens",), "y = Mul(x, s)", {"s": Shape(("D",))}, absorbed=True),
    Operator("Mul scalar", _ANY, "y = Mul(x, s)", {"s": Scalar(0.125)}, absorbed=True, where=_ONE_ELEMENT),
    Operator("Div scalar", _ANY, "y = Div(x, s)", {"s": Scalar(8.0)}, absorbed=True, where=_ONE_ELEMENT),
    Operator("Mul gate", _IMAGE, "g = GlobalAveragePool(r) y = Mul(x, g)"),
    Operator("SE block", _IMAGE,
             "a = GlobalAveragePool(x) b = Conv<kernel_shape=[1,1]>(a, w) c = Relu(b) "
             "d = Conv<kernel_shape=[1,1]>(c, v) e = Sigmoid(d) y = Mul(x, e)",
             {"w": Shape(("C", "C", 1, 1)), "v": Shape(("C", "C", 1, 1))}),
    # Movement.
    Operator("Concat", ("image",), "y = Concat<axis=1>(x, r)", gives="wide"),
    Operator("Resize", ("image",), 'y = Resize<mode="nearest", coordinate_transformation_mode="asymmetric", '
             'nearest_mode="floor">(x, , f)', {"f": Floats((1, 1, 2, 2))}, gives="doubled"),
    Operator("Pad", ("image",), "y = Pad(x, p)", {"p": _PADS}, gives="padded"),
    Operator("Flatten", ("pixel",), "y = Flatten(x)", gives="row"),
    Operator("Transpose", ("image",), "y = Transpose<perm=[0,2,3,1]>(x)", gives="last"),
    Operator("Transpose", ("tokens",), "y = Transpose<perm=[0,2,1]>(x)", gives="turned"),
    Operator("Transpose", ("split",), "y = Transpose<perm=[0,2,1,3]>(x)", gives="split"),
    Operator("Transpose", ("heads",), "y = Transpose<perm=[0,1,3,2]>(x)"),
    Operator("Transpose tokens", ("heads",), "y = Transpose<perm=[0,2,1,3]>(x)"),
    Operator("Reshape", ("tokens",), "y = Reshape(x, s)", {"s": Integers((1, "S", "A", "DA"))}, gives="split"),
)  # fmt: skip

OPERATORS: dict[tuple[str, str], Operator] = {
    (operator.name, domain): operator for operator in _OPERATORS for domain in operator.takes
}
"""By name and the domain that is read."""

_ACTIVATIONS = "Relu Clip Sigmoid Tanh LeakyRelu Elu Softplus HardSigmoid HardSwish SiLU Gelu Erf"

# Domain -> operators -> what is tried behind them. Names are separated by "|" where they have blanks.
_PAIRS: dict[str, dict[str, tuple[str, ...]]] = {
    "image": {
        "Conv": ("BatchNormalization", *_ACTIVATIONS.split(), "PRelu", "Add", "Mul", "Add bias", "Mul scale",
                 "Mul scalar", "Mul gate", "Conv 1x1", "MaxPool", "Softmax"),
        "Conv 1x1": ("BatchNormalization", "Relu", "HardSwish", "Add", "Conv depthwise"),
        "Conv depthwise": ("BatchNormalization", "Relu", "Clip", "HardSwish", "SiLU", "Add", "Conv 1x1", "SE block"),
        "ConvTranspose": ("BatchNormalization", "Relu", "Add bias", "Add"),
        "BatchNormalization": ("Relu", "Conv 1x1"),
        "Mul scale": ("Add bias", "Conv 1x1"),
        "Add": ("Relu", "Add", "Sigmoid", "MaxPool"),
        "Relu": ("Clip", "Add", "MaxPool", "Conv 1x1"),
        "MaxPool": ("Relu", "MaxPool"),
        "AveragePool": ("Relu", "Conv 1x1"),
        "Concat": ("Relu",),
        "Resize": ("Relu", "Conv 1x1"),
        "Pad": ("Conv unpadded",),
        "Transpose": ("Relu",),
        "GlobalAveragePool": ("Conv 1x1",),
    },
    "pixel": {
        "Conv 1x1": ("Relu", "Sigmoid", "HardSigmoid"),
        "Flatten": ("Relu",),
    },
    "matrix": {
        "Gemm": ("Relu", "Sigmoid", "Gelu", "Add", "Mul scalar"),
        "MatMul": ("Add bias", "Relu", "Add", "Mul scale", "Mul scalar"),
    },
    "tokens": {
        "MatMul": ("Add bias", "Add", "Gelu", "Mul scalar"),
        "Add bias": ("Gelu", "Add"),
        "Add": ("LayerNormalization", "Relu", "Mul", "Softmax"),
        "Mul": ("Add",),
        "Mul scalar": ("Add", "Mul scalar"),
        "LayerNormalization": ("MatMul", "Add", "Relu"),
        "Exp": ("Sigmoid", "Erf"),
        "Gelu": ("MatMul", "Mul"),
        "SiLU": ("Mul",),
        "Softmax": ("Relu", "MatMul"),
        "Reshape": ("Transpose",),
        "Transpose": ("MatMul", "Relu"),
    },
    "heads": {
        "MatMul by": ("Mul scalar", "Div scalar", "Add", "Softmax"),
        "Div scalar": ("Softmax", "Add"),
        "Add": ("Softmax",),
        "Softmax": ("MatMul by",),
        "Transpose": ("MatMul onto", "MatMul by", "Softmax"),
        "Transpose tokens": ("Transpose",),
    },
}  # fmt: skip

# (domain, operators before, operator appended, what all of them together are where that has a name).
_CHAINS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("image", ("Conv", "BatchNormalization"), "Relu", ""),
    ("image", ("Conv", "BatchNormalization"), "HardSwish", ""),
    ("image", ("Conv", "Add"), "Relu", ""),
    ("image", ("Conv", "Conv 1x1"), "Add origin", ""),
    ("image", ("Conv", "Conv 1x1", "Add origin"), "Relu", ""),
    ("image", ("Conv", "Relu"), "Add", ""),
    ("image", ("Conv", "Relu"), "Relu", ""),
    ("image", ("Conv", "Sigmoid"), "Mul", ""),
    ("image", ("Sigmoid",), "Mul origin", "com.microsoft.QuickGelu"),
    ("image", ("HardSigmoid",), "Mul origin", "HardSwish"),
    ("matrix", ("MatMul", "Add bias"), "Relu", ""),
    ("matrix", ("MatMul", "Add bias"), "Add", ""),
    ("tokens", ("MatMul", "Add bias"), "Gelu", ""),
    ("tokens", ("MatMul", "Add bias"), "Add", ""),
    ("tokens", ("Add", "Add"), "LayerNormalization", ""),
    ("tokens", ("Sigmoid",), "Mul origin", "com.microsoft.QuickGelu"),
    ("tokens", ("Gelu parts",), "Mul half", "com.microsoft.Gelu"),
    ("tokens", ("Norm parts",), "Add bias", "LayerNormalization"),
    ("tokens", ("RMS parts",), "Mul scale", "com.microsoft.SimplifiedLayerNormalization"),
    ("heads", ("MatMul by", "Div scalar"), "Add", ""),
    ("heads", ("Div scalar", "Add"), "Softmax", ""),
)


@dataclass(frozen=True)
class FusionTest:
    """Whether `tail` becomes part of a kernel of `head` (rule 4).

    Attributes:
        head: names of operators, in order.
        tail: name of the operator appended.
        domain: what the first operator reads.
        becomes: the operator that all of them together are, where that has a name.
    """

    head: tuple[str, ...]
    tail: str
    domain: str
    becomes: str = ""

    @property
    def name(self) -> str:
        """`Conv, Add > Relu [image]`."""
        return f"{', '.join(self.head)} > {self.tail} [{self.domain}]"

    @property
    def operators(self) -> tuple[Operator, ...]:
        """All operators in order, each for the domain that the one before it gives."""
        return operators_of((*self.head, self.tail), self.domain)

    @property
    def middle(self) -> str:
        """The domain between head and tail."""
        domain = self.domain
        for operator in operators_of(self.head, domain):
            domain = operator.gives or domain
        return domain


def operators_of(names: tuple[str, ...], domain: str) -> tuple[Operator, ...]:
    """The operators with these names, the first of which reads `domain`.

    Raises:
        KeyError: the catalogue has no operator of a name for the domain that it would read.
    """
    found = []
    for name in names:
        operator = OPERATORS[name, domain]
        found.append(operator)
        domain = operator.gives or domain
    return tuple(found)


TESTS: tuple[FusionTest, ...] = (
    *(FusionTest((head,), tail, domain) for domain, heads in _PAIRS.items() for head, tails in heads.items()
      for tail in tails),
    *(FusionTest(head, tail, domain, becomes) for domain, head, tail, becomes in _CHAINS),
)  # fmt: skip
