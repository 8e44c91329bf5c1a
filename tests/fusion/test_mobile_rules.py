"""Rule sets of mobile devices: one form for what exporters write, and which operators join a kernel."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from nnmeter.binding.assembly import Assembly, same_pads
from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import DeviceError
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import RULESETS, load_rules, rules_to_dict, with_parameters

MOBILE = ("tflite21_cpu", "tflite21_gpu", "tflite_gpu", "openvino2019r2_myriad", "tensorrt_cuda")


class Model(Assembly):
    """A model with an input of 8 channels on a map of 16 x 16."""

    def __init__(self) -> None:
        super().__init__("model", "model")
        self.x = self.input("x", (1, 8, 16, 16))

    def conv(self, x: str, outputs: int = 8, kernel: int = 3, stride: int = 1, **attributes) -> str:
        defaults = {"kernel_shape": (kernel, kernel), "strides": (stride, stride), "pads": (kernel // 2,) * 4}
        return self.add("Conv", [x, self.weight((outputs, 8, kernel, kernel))], {**defaults, **attributes})

    def kernels(self, result: str, rules: str = "tflite21_cpu", **parameters):
        loaded = load_rules(rules)
        found = detect_kernels(bind_shapes(self.finish([result])), with_parameters(loaded, **parameters))
        return [kernel.signature for kernel in found]

    def types(self, result: str, rules: str = "tflite21_cpu", **parameters) -> list[str]:
        return sorted(kernel.type for kernel in self.kernels(result, rules, **parameters))


@pytest.mark.parametrize("name", MOBILE)
def test_a_pack_holds_all_of_its_rules(name: str):
    source = rules_to_dict(load_rules(name))
    assert not any("include" in stage for stage in source["stages"])
    assert rules_to_dict(load_rules(json.loads(json.dumps(source)))) == source


def test_a_rule_set_that_is_not_there_cannot_be_included():
    data = json.loads((RULESETS / "tflite21_cpu.json").read_text())
    data["stages"][0] = {"include": "nowhere"}
    with pytest.raises(DeviceError, match="no rule set 'nowhere' to include"):
        load_rules(data)


def test_a_pass_is_left_out_unless_its_parameter_is_true():
    model = Model()
    views = model.add("Flatten", [model.add("GlobalAveragePool", [model.x])], {"axis": 1})
    assert model.types(views) == ["GlobalAveragePool"]
    assert model.types(views, free_views=False) == ["GlobalAveragePool", "Reshape"]


@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "expected"),
    [
        (3, 2, (1, 1, 1, 1), (0, 0, 1, 1)),
        (3, 1, (1, 1, 1, 1), (1, 1, 1, 1)),
        (5, 2, (2, 2, 2, 2), (1, 1, 2, 2)),
        (3, 2, (0, 0, 0, 0), (0, 0, 0, 0)),
        (1, 2, (0, 0, 0, 0), (0, 0, 0, 0)),
    ],
)
def test_padding_is_told_by_its_effect(kernel, stride, pads, expected):
    model = Model()
    (found,) = model.kernels(model.conv(model.x, kernel=kernel, stride=stride, pads=pads))
    assert found.attribute("pads") == expected


def test_equal_work_has_one_signature_whichever_way_it_is_written():
    ways = []
    for way in range(4):
        model = Model()
        if way == 0:
            y = model.conv(model.x, stride=2)
        elif way == 1:
            y = model.conv(model.x, stride=2, pads=(0, 0, 0, 0), auto_pad="SAME_UPPER", dilations=(1, 1))
        elif way == 2:
            padded = model.add("Pad", [model.x, model.integers((0, 0, 1, 1, 0, 0, 1, 1))], {"mode": "constant"})
            y = model.conv(padded, stride=2, pads=(0, 0, 0, 0))
        else:
            y = model.add(
                "BatchNormalization", [model.conv(model.x, stride=2), *[model.weight((8,)) for _ in range(4)]]
            )
        ways.append(model.kernels(y))
    assert ways.count(ways[0]) == len(ways)


def swish(model: Model, x: str, way: str) -> str:
    if way == "operator":
        return model.add("HardSwish", [x])
    if way == "gate":
        return model.add("Mul", [x, model.add("HardSigmoid", [x], {"alpha": 1 / 6, "beta": 0.5})])
    relu6 = model.add("Clip", [model.add("Add", [x, model.scalar(3)]), model.scalar(0), model.scalar(6)])
    if way == "product last":
        return model.add("Div", [model.add("Mul", [x, relu6]), model.scalar(6)])
    return model.add("Mul", [x, model.add("Mul", [relu6, model.scalar(1 / 6)])])


@pytest.mark.parametrize("way", ["operator", "gate", "product last", "product first"])
@pytest.mark.parametrize(
    ("rules", "expected"),
    [("tflite21_cpu", ["Conv+HardSwish"]), ("tflite21_gpu", ["Conv+HardSwish"]),
     ("openvino2019r2_myriad", ["Conv+HardSwish"])],
)  # fmt: skip
def test_hard_swish_is_one_operator(way, rules, expected):
    model = Model()
    assert model.types(swish(model, model.conv(model.x), way), rules) == expected


def test_other_numbers_are_no_hard_swish():
    model = Model()
    x = model.conv(model.x)
    relu6 = model.add("Clip", [model.add("Add", [x, model.scalar(2)]), model.scalar(0), model.scalar(6)])
    types = model.types(model.add("Div", [model.add("Mul", [x, relu6]), model.scalar(6)]))
    assert "HardSwish" not in types


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("tflite21_cpu", ["Add+Relu", "Conv", "Conv"]),
        ("tflite21_gpu", ["Conv", "Conv+Add+Relu"]),
        ("openvino2019r2_myriad", ["Add+Relu", "Conv", "Conv"]),
        ("tensorrt_cuda", ["Conv", "Conv+Add"]),
    ],
)
def test_residual_sums(rules, expected):
    model = Model()
    total = model.add("Add", [model.conv(model.x), model.conv(model.x)])
    assert model.types(model.add("Relu", [total]), rules) == expected


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("shortcut_first", [False, True])
def test_a_sum_joins_the_shortcut_whatever_the_order_in_the_file(swapped, shortcut_first):
    model = Model()
    shortcut = model.conv(model.x, kernel=1) if shortcut_first else ""
    main = model.conv(model.conv(model.x))
    shortcut = shortcut or model.conv(model.x, kernel=1)
    total = model.add("Add", [shortcut, main] if swapped else [main, shortcut])
    joined = next(k for k in model.kernels(total, "tflite21_gpu") if k.type == "Conv+Add")
    assert joined.attribute("kernel_shape") == (1, 1)
    assert joined.inputs[3] == joined.outputs[0]


def test_a_sum_with_what_others_read_too_joins_the_other_kernel():
    model = Model()
    start = model.conv(model.x)
    total = model.add("Add", [start, model.conv(start)])
    assert model.types(total, "tflite21_gpu") == ["Conv", "Conv+Add"]


def test_what_others_read_joins_nothing():
    model = Model()
    x = model.conv(model.x)
    both = model.add("Concat", [x, model.add("Relu", [x])], {"axis": 1})
    assert model.types(both) == ["Concat", "Conv", "Relu"]


def test_operators_chain_on_gpus():
    model = Model()
    x = model.add("Concat", [model.conv(model.x), model.conv(model.x)], {"axis": 1})
    x = model.add("BatchNormalization", [x, *[model.weight((16,)) for _ in range(4)]])
    assert model.types(model.add("Relu", [x]), "tflite21_gpu") == ["Concat+BatchNormalization+Relu", "Conv", "Conv"]
    assert model.types(model.add("Relu", [x]), "tflite21_gpu", normalization_joins=False) == [
        "BatchNormalization+Relu", "Concat", "Conv", "Conv",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "parameters", "expected"),
    [
        ("tflite21_cpu", {}, ["MaxPool", "Relu"]),
        ("tflite21_cpu", {"pool_activation": True}, ["MaxPool+Relu"]),
        ("openvino2019r2_myriad", {}, ["MaxPool+Relu"]),
        ("openvino2019r2_myriad", {"pool_activation": False}, ["MaxPool", "Relu"]),
    ],
)
def test_alternatives_are_parameters(rules, parameters, expected):
    model = Model()
    pool = model.add("MaxPool", [model.x], {"kernel_shape": (2, 2), "strides": (2, 2)})
    assert model.types(model.add("Relu", [pool]), rules, **parameters) == expected


@pytest.mark.parametrize(("precision", "dtype"), [("float16", "float16"), ("int8", "int8")])
def test_precision_is_a_parameter(precision, dtype):
    model = Model()
    (kernel,) = model.kernels(model.conv(model.x), "tensorrt_cuda", **{precision: True})
    assert {t.dtype for t in (*kernel.inputs, *kernel.outputs) if t} == {dtype}


def test_relu6_is_a_rectifier_of_a_gpu():
    model = Model()
    x = model.add("Clip", [model.conv(model.x), model.scalar(0), model.scalar(6)])
    assert model.types(x, "tflite_gpu") == ["Conv+Relu"]
    assert model.types(x, "tflite21_cpu") == ["Conv+Clip"]


def test_a_pool_of_the_whole_map_is_a_global_pool():
    model = Model()
    pool = model.add("AveragePool", [model.x], {"kernel_shape": (16, 16)})
    mean = model.add("ReduceMean", [model.x], {"axes": (2, -1), "keepdims": 1})
    assert model.kernels(pool) == model.kernels(mean)
    assert Counter(model.types(pool, one_global_pool=False)) == {"AveragePool": 1}


def test_same_padding_puts_the_odd_one_behind():
    assert same_pads((224, 7), (3, 3), (2, 1)) == (0, 1, 1, 1)
    assert same_pads((5, 5), (1, 1), (2, 2)) == (0, 0, 0, 0)
