import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnmeter.errors import ModelError
from nnmeter.lab.runtimes.weights import fill_weights, load_with_weights, random_inputs


def absent(name, shape, kind=TensorProto.FLOAT):
    tensor = TensorProto(name=name, dims=shape, data_type=kind, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights-not-included")
    return tensor


def make_model(nodes, weights, inputs=(("x", TensorProto.FLOAT, [1, 8, 4, 4]),)):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(*i) for i in inputs], [], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def filled(model, name):
    fill_weights(model)
    tensor = next(t for t in model.graph.initializer if t.name == name)
    assert tensor.data_location == TensorProto.DEFAULT
    return onnx.numpy_helper.to_array(tensor)


def test_filters_keep_the_size_of_activations():
    model = make_model([helper.make_node("Conv", ["x", "w"], ["y"])], [absent("w", (64, 8, 3, 3))])
    weight = filled(model, "w")
    assert weight.shape == (64, 8, 3, 3)
    assert weight.std() == pytest.approx(np.sqrt(2 / 72), rel=0.1)


def test_variances_and_scales_are_positive():
    node = helper.make_node("BatchNormalization", ["x", "scale", "bias", "mean", "variance"], ["y"])
    model = make_model([node], [absent(name, (512,)) for name in ("scale", "bias", "mean", "variance")])
    assert filled(model, "variance").min() >= 0.4
    assert filled(model, "scale").min() >= 0.4
    assert abs(filled(model, "mean")).max() < 1


def test_indices_stay_within_their_table():
    nodes = [
        helper.make_node("Gather", ["positions", "x"], ["rows"]),
        helper.make_node("Reshape", ["rows", "shape"], ["flat"]),
        helper.make_node("Gather", ["table", "flat"], ["y"]),
    ]
    weights = [absent("positions", (600,), TensorProto.INT64), absent("table", (13, 4))]
    model = make_model(nodes, weights, inputs=[("x", TensorProto.INT64, [3])])
    positions = filled(model, "positions")
    assert positions.min() >= 0
    assert positions.max() < 13
    assert len(set(positions.tolist())) > 5


def test_quantized_weights_use_the_whole_range_and_zero_points_are_zero():
    node = helper.make_node("DequantizeLinear", ["w", "step", "zero"], ["y"], axis=0)
    model = make_model(
        [node],
        [
            absent("w", (300, 300), TensorProto.INT8),
            absent("step", (300,)),
            absent("zero", (300,), TensorProto.INT8),
        ],
    )
    assert len(np.unique(filled(model, "w"))) == 256
    assert (filled(model, "zero") == 0).all()
    assert (filled(model, "step") > 0).all()


def test_packed_four_bit_weights_have_their_size():
    node = helper.make_node("DequantizeLinear", ["w", "step"], ["y"])
    model = make_model([node], [absent("w", (33, 17), TensorProto.INT4)])
    fill_weights(model)
    assert len(model.graph.initializer[0].raw_data) == (33 * 17 + 1) // 2


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE])
def test_other_precisions_are_drawn_like_float32(kind):
    model = make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], [absent("w", (64, 64), kind)])
    weight = filled(model, "w").astype(np.float32)
    assert weight.std() == pytest.approx(1 / 8, rel=0.1)


def test_stored_weights_are_left_alone(tmp_path):
    values = np.arange(2000, dtype=np.float32).reshape(50, 40)
    model = make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], [onnx.numpy_helper.from_array(values, "w")])
    assert fill_weights(model) == 0
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    loaded = load_with_weights(path)
    assert (onnx.numpy_helper.to_array(loaded.graph.initializer[0]) == values).all()


def test_weights_inside_of_constants_and_branches_are_filled():
    branch = helper.make_graph(
        [helper.make_node("Identity", ["inner"], ["out"])],
        "then",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [400])],
        [absent("inner", (400,))],
    )
    nodes = [
        helper.make_node("Constant", [], ["c"], value=absent("", (300,))),
        helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch),
    ]
    model = make_model(nodes, [], inputs=[("flag", TensorProto.BOOL, [])])
    assert fill_weights(model) == 3
    assert len(model.graph.node[0].attribute[0].t.raw_data) == 1200


def test_inputs_are_valid_for_what_reads_them():
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"]), helper.make_node("Cast", ["mask"], ["m"], to=1)]
    model = make_model(
        nodes,
        [absent("table", (100, 4))],
        inputs=[
            ("ids", TensorProto.INT64, [1, 50]),
            ("mask", TensorProto.INT64, [1, 50]),
            ("x", TensorProto.FLOAT16, [1, 3]),
            ("keep", TensorProto.BOOL, [2]),
        ],
    )
    feeds = random_inputs(model, {"ids": (1, 50), "mask": (1, 50), "x": (1, 3), "keep": (2,)})
    assert feeds["ids"].max() < 100
    assert len(set(feeds["ids"].ravel().tolist())) > 10
    assert (feeds["mask"] == 1).all()
    assert feeds["x"].dtype == np.float16
    assert feeds["keep"].all()


def test_model_without_inputs_that_decide_anything_keeps_its_masks():
    """A mask that an index is multiplied with stays one: a masked-out sequence is another computation."""
    nodes = [
        helper.make_node("CumSum", ["mask", "axis"], ["count"]),
        helper.make_node("Mul", ["count", "mask"], ["places"]),
        helper.make_node("Gather", ["table", "places"], ["y"]),
    ]
    inputs = [("mask", TensorProto.INT64, [1, 6]), ("axis", TensorProto.INT64, [])]
    feeds = random_inputs(make_model(nodes, [absent("table", (9, 4))], inputs=inputs), {"mask": (1, 6), "axis": ()})
    assert (feeds["mask"] == 1).all()
    assert feeds["axis"] == 0


def test_input_without_shape_is_named():
    model = make_model([], [], inputs=[("ids", TensorProto.INT64, ["n"])])
    with pytest.raises(ModelError, match="'ids' has no static shape"):
        random_inputs(model, {})


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x08\xff\xff\xff\xff"])
def test_file_that_is_no_model_is_named(tmp_path, content):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.onnx"):
        load_with_weights(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.onnx: cannot be read"):
        load_with_weights(tmp_path / "nowhere.onnx")


def test_one_seed_gives_one_model():
    def build():
        model = make_model([helper.make_node("Conv", ["x", "w"], ["y"])], [absent("w", (64, 8, 3, 3))])
        return filled(model, "w")

    assert (build() == build()).all()
