"""Models of torch: recognized without an import, exported without weights, priced as the file that torch exports.

What needs torch is skipped where that is not installed.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import nnmeter
from nnmeter.errors import ModelError
from nnmeter.formats.torch_models import EXPORTED, IR, MODULE, PROGRAM, kind_of


def class_of(name: str, module: str) -> Any:
    return type(name, (), {"__module__": module})


@pytest.mark.parametrize(
    ("name", "module", "kind"),
    [
        ("Module", "torch.nn.modules.module", MODULE),
        ("ExportedProgram", "torch.export.exported_program", EXPORTED),
        ("ONNXProgram", "torch.onnx._internal.exporter._onnx_program", PROGRAM),
        ("Model", "onnx_ir._core", IR),
        ("Module", "somewhere.else", None),
        ("Model", "onnx_irregular", None),
        ("Module", "torch.nn.modules.modules", None),
    ],
)
def test_a_model_is_recognized_by_its_classes(name: str, module: str, kind: str | None) -> None:
    derived = type("Net", (class_of(name, module),), {})
    assert kind_of(derived()) == kind


def test_a_module_without_examples_is_refused_in_a_line() -> None:
    net = type("Net", (class_of("Module", "torch.nn.modules.module"),), {})()
    with pytest.raises(ModelError, match=r"^Net: a torch\.nn\.Module has no sizes; give example_inputs"):
        nnmeter.predict(net, "cortexA76cpu_tflite21")


def test_no_import_of_torch_comes_with_other_models() -> None:
    """Reading a file imports neither torch nor what its exporter needs."""
    code = (
        "import sys, nnmeter\nnnmeter.predict(sys.argv[1], 'cortexA76cpu_tflite21', example_inputs=None)\n"
        "assert not {'torch', 'onnx_ir', 'onnxscript', 'transformers'} & set(sys.modules)"
    )
    from tests.conftest import ZOO

    subprocess.run([sys.executable, "-c", code, str(ZOO / "mobilenet_v2-224.onnx")], check=True)


@pytest.fixture
def ir() -> Any:
    return pytest.importorskip("onnx_ir")


@pytest.fixture(scope="module")
def torch() -> Any:
    pytest.importorskip("onnxscript")
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def net(torch) -> Any:
    class Block(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(width, width, 3, padding=1, bias=False)
            self.norm = torch.nn.BatchNorm2d(width)

        def forward(self, x, scale=None):
            y = torch.relu(self.norm(self.conv(x)))
            return y if scale is None else y * scale

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Block(16), Block(16)
            self.head = torch.nn.Linear(16, 300)

        def forward(self, x, scale=None):
            return self.head(self.second(self.first(x), scale).mean((2, 3)))

    return Net()


class TestIrModel:
    """An `onnx_ir.Model`, which needs onnx-ir alone."""

    def test_it_is_priced_as_its_file(self, ir, small_pack) -> None:
        from tests.conftest import make_small_model

        proto = make_small_model("batch")
        found = nnmeter.predict(ir.from_proto(proto), small_pack, {"batch": 2})
        expected = nnmeter.predict(proto, small_pack, {"batch": 2})
        assert found.latency_ms == expected.latency_ms
        assert found.total().parameters == expected.total().parameters == 32 * 16 * 9 + 32 + 320 + 10

    def test_weights_need_no_data_and_are_no_inputs(self, ir, small_pack) -> None:
        from tests.conftest import make_small_model

        model = ir.from_proto(make_small_model())
        for value in list(model.graph.initializers.values()):
            value.const_value = None
            model.graph.inputs.append(value)  # as an exporter lists them that keeps initializers as inputs
        read = nnmeter.read_model(model)
        assert [declared.name for declared in read.inputs] == ["input"]
        assert set(read.constants) == {"conv.weight", "conv.bias", "fc.weight", "fc.bias"}
        assert (
            nnmeter.predict(read, small_pack).latency_ms == nnmeter.predict(make_small_model(), small_pack).latency_ms
        )

    def test_a_weight_without_a_type_is_named(self, ir) -> None:
        from tests.conftest import make_small_model

        model = ir.from_proto(make_small_model())
        model.graph.initializers["fc.bias"].const_value = None
        model.graph.initializers["fc.bias"].shape = None
        with pytest.raises(ModelError, match=r"'fc\.bias' has neither data nor a type of known shape"):
            nnmeter.read_model(model)


class TestTorch:
    """Modules and exported programs, with torch itself."""

    def test_a_module_is_priced_as_its_file(self, torch, net, tmp_path, small_pack) -> None:
        x = torch.zeros(1, 16, 20, 20)
        net.train()
        found = nnmeter.predict(net, small_pack, example_inputs=x)
        assert net.training and net.first.norm.training
        net.eval()
        torch.onnx.export(net, (x,), tmp_path / "net.onnx", dynamo=True, verbose=False)
        expected = nnmeter.predict(tmp_path / "net.onnx", small_pack)
        assert found.latency_ms == pytest.approx(expected.latency_ms, rel=0.01)
        assert found.model == "Net"
        assert {group.name for group in found.by_module(1)} >= {"first", "second", "head"}
        assert found.total().parameters == sum(p.numel() for p in net.parameters())
        lines = found.tree(depth=2).splitlines()
        assert any(line.startswith("  conv ") for line in lines)
        assert lines[-1].startswith("total")

    def test_weights_are_not_needed(self, torch, net, small_pack) -> None:
        import copy

        expected = nnmeter.predict(net, small_pack, example_inputs=torch.zeros(1, 16, 20, 20)).latency_ms
        bare = copy.deepcopy(net).to("meta")
        found = nnmeter.predict(bare, small_pack, example_inputs=torch.zeros(1, 16, 20, 20, device="meta"))
        assert found.latency_ms == expected
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode():
            fake, x = type(net)(), torch.zeros(1, 16, 20, 20)
        assert nnmeter.predict(fake, small_pack, example_inputs=x).latency_ms == expected

    def test_programs_and_keyword_arguments(self, torch, net, small_pack) -> None:
        net.eval()
        x, scale = torch.zeros(2, 16, 20, 20), torch.ones(2, 16, 1, 1)
        by_name = nnmeter.predict(net, small_pack, example_inputs={"x": x, "scale": scale})
        beside = nnmeter.predict(net, small_pack, example_inputs=x, example_kwargs={"scale": scale})
        assert by_name.latency_ms == beside.latency_ms
        exported = torch.export.export(net, (x,), {"scale": scale})
        assert nnmeter.predict(exported, small_pack).latency_ms == by_name.latency_ms
        program = torch.onnx.export(exported, dynamo=True, verbose=False)
        assert nnmeter.predict(program, small_pack).latency_ms == pytest.approx(by_name.latency_ms, rel=0.01)
        assert nnmeter.predict(program.model, small_pack).latency_ms == pytest.approx(by_name.latency_ms, rel=0.01)

    def test_dynamic_axes_are_bound_by_the_examples(self, torch, net, small_pack) -> None:
        net.eval()
        batch = torch.export.Dim("batch", min=2, max=64)
        x = torch.zeros(4, 16, 20, 20)
        exported = torch.export.export(net, (x,), dynamic_shapes=({0: batch},))
        own = nnmeter.predict(exported, small_pack)
        assert list(own.dims.values()) == [4]
        given = nnmeter.predict(exported, small_pack, example_inputs=torch.zeros(8, 16, 20, 20))
        assert list(given.dims.values()) == [8]
        assert given.latency_ms > own.latency_ms

    def test_what_cannot_be_exported_is_one_line(self, torch, net, small_pack) -> None:
        class Bad(torch.nn.Module):
            def forward(self, x):
                if x.sum() > 0:
                    return x
                return x + 1

        for module, examples in ((Bad(), torch.ones(2)), (net, (torch.ones(1, 3, 20, 20),)), (net, ())):
            with pytest.raises(ModelError, match=r"^\w+: torch\.onnx\.export fails: ") as caught:
                nnmeter.predict(module, small_pack, example_inputs=examples)
            assert "\n" not in str(caught.value)
