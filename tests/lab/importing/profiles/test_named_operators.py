"""Tools that name the operators of a model: TensorRT, TFLite, ncnn, MNN."""

from __future__ import annotations

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.lab.importing.profiles import mnn, ncnn, tensorrt, tflite
from nnmeter.lab.importing.profiles.alignment import TimedGroup, align
from nnmeter.lab.importing.profiles.setting import MeasuredDevice
from tests.lab.importing.profiles.conftest import (
    MNN_LOG,
    NCNN_LOG,
    TFLITE_CSV,
    TRT_LAYERS,
    TRT_PROFILE,
    TRT_TIMES,
    account_of,
    write_json,
)


def detected(model, rules):
    return detect_kernels(bind_shapes(read_model(model)), load_rules(rules))


def times_by_type(rows):
    return {"+".join(kernel.type for kernel in row.kernels): row.latency_ms for row in rows if "/" in row.id}


class TestTensorRt:
    def test_fused_layers_are_the_kernels_of_the_rules(self, model, imported):
        profile = write_json(model.parent / "small.profile.json", TRT_PROFILE)
        write_json(model.parent / "small.layers.json", TRT_LAYERS)
        write_json(model.parent / "small.times.json", TRT_TIMES)
        report, rows, fingerprint = imported()
        (row,) = rows
        kernels = detected(model, "tensorrt_cuda")
        assert row.kernels == tuple(kernel.signature for kernel in kernels)
        by_node = {kernel.nodes[0]: ms for kernel, ms in zip(kernels, row.kernel_ms, strict=True)}
        assert by_node == pytest.approx({"conv1": 0.05, "conv2": 0.07, "pool": 0.02, "fc": 0.03})
        assert (row.runs, row.latency_ms) == (10, pytest.approx(0.245))
        assert (fingerprint["runtime"], fingerprint["kind"]) == ("tensorrt", "gpu")
        assert account_of(report, profile.name)["refused"] == {tensorrt.COUNT: 1, tensorrt.OWN_WORK: 1}

    def test_without_layer_information_names_tell(self, model, imported):
        write_json(model.parent / "profile.json", TRT_PROFILE)
        _, rows, _ = imported()
        assert len(rows[0].kernel_ms) == 4
        assert rows[0].latency_ms == pytest.approx(0.17)
        assert rows[0].runs == 0

    def test_of_another_model_nothing_is_imported(self, model, imported):
        strange = [{**entry, "name": f"other{i}"} if "name" in entry else entry for i, entry in enumerate(TRT_PROFILE)]
        write_json(model.parent / "profile.json", strange)
        with pytest.raises(MeasurementError, match="none of its layers names an operator"):
            imported()

    def test_half_precision_has_its_own_rules(self, model, imported):
        write_json(model.parent / "profile.json", TRT_PROFILE)
        _, rows, fingerprint = imported(device=MeasuredDevice(name="t4", precision="float16"))
        assert fingerprint["fusion_parameters"]["float16"] is True
        assert rows[0].kernels[0].inputs[0].dtype == "float16"


class TestTflite:
    def test_the_last_table_in_run_order_counts(self, model, imported):
        (model.parent / "small.csv").write_text(TFLITE_CSV)
        report, rows, fingerprint = imported()
        (row,) = rows
        assert row.latency_ms == pytest.approx(0.57)
        assert fingerprint["fusion_rules"] == "tflite21_cpu"
        by_type = {kernel.type: ms for kernel, ms in zip(row.kernels, row.kernel_ms, strict=True)}
        assert by_type["Conv+Relu"] == pytest.approx(0.25)
        assert by_type["Gemm"] == pytest.approx(0.03)
        refused = account_of(report, "small.csv")["refused"]
        assert refused == {tflite.NOT_REGULAR: 3, tflite.INSIDE: 1}

    def test_older_tables_lack_a_column(self, model, imported):
        older = TFLITE_CSV.replace("node type, start, first", "node type, first")
        lines = [line.split(", ", 2) for line in older.splitlines()]
        text = "\n".join(", ".join([p[0], p[2]]) if len(p) > 2 and p[1][0].isdigit() else ", ".join(p) for p in lines)
        (model.parent / "small.csv").write_text(text)
        _, rows, _ = imported()
        assert rows[0].latency_ms == pytest.approx(0.57)

    def test_a_delegate_is_all_that_it_replaced(self, model, imported):
        def field(number: int, payload: bytes) -> bytes:
            return bytes([number << 3 | 2, len(payload)]) + payload

        def node(identifier: int, edge: int, extra: bytes = b"") -> bytes:
            return field(3, bytes([1 << 3, identifier]) + field(5, bytes([edge])) + extra)

        names = ["relu1_out", "conv2_out", "add_out", "pool_out", "y"]
        edges = b"".join(field(2, bytes([1 << 3, i]) + field(2, name.encode())) for i, name in enumerate(names))
        delegate = node(9, 3, field(8, field(1, b"TfLiteXNNPackDelegate") + field(2, bytes([0, 1, 2, 3]))))
        nodes = b"".join(node(i, i) for i in range(5)) + delegate
        graph = bytes([1 << 3, 0]) + edges + nodes
        (model.parent / "small.details.pb").write_bytes(
            field(1, b"small") + b"\x12" + bytes([len(graph) & 127 | 128, len(graph) >> 7]) + graph
        )

        def profile(kind: bytes, name: bytes, us: int) -> bytes:
            stat = field(2, bytes([3 << 3, us & 127 | 128, us >> 7]))
            return field(3, field(1, kind) + stat + field(5, name))

        rows = profile(b"TfLiteXNNPackDelegate", b"TfLiteXNNPackDelegate:9", 500)
        rows += profile(b"FULLY_CONNECTED", b"[y]:4", 130)
        runtime = field(1, field(1, b"Primary graph") + bytes([2 << 3, 0]) + rows)
        message = field(1, b"small") + b"\x1a" + bytes([len(runtime) & 127 | 128, len(runtime) >> 7]) + runtime
        (model.parent / "small.profile.pb").write_bytes(message)
        report, rows, _ = imported()
        parts = [(len(row.kernels), row.latency_ms) for row in rows]
        assert sum(ms for _, ms in parts[1:]) == pytest.approx(0.63)
        assert max(count for count, _ in parts[1:]) == 4
        assert account_of(report, "small.profile.pb")["imported"] == 2


class TestNcnn:
    def test_totals_and_layers(self, model, imported):
        (model.parent / "small.log").write_text(NCNN_LOG)
        report, rows, fingerprint = imported()
        assert rows[0].latency_ms == pytest.approx(0.25)
        parts = times_by_type(rows)
        assert parts["Gemm"] == pytest.approx(0.03)
        assert sum(row.latency_ms for row in rows[1:]) == pytest.approx(0.24)
        assert fingerprint["fusion_rules"] in ("plain_network", "ncnn_cpu")
        refused = account_of(report, "small.log")["refused"]
        assert refused[ncnn.NEITHER] == 2
        assert refused[ncnn.EARLIER] == 1
        assert refused[ncnn.NO_LAYER] == 1

    def test_a_network_without_its_model_is_refused(self, model, imported):
        (model.parent / "small.log").write_text("  vgg16  min = 20.0  max = 22.0  avg = 21.0\n" + NCNN_LOG)
        report, rows, _ = imported()
        assert rows[0].network == "small"
        assert account_of(report, "small.log")["refused"][ncnn.NO_MODEL] == 1


def test_mnn_names_tensors(model, imported):
    (model.parent / "small.txt").write_text(MNN_LOG)
    report, rows, _ = imported()
    assert rows[0].latency_ms == pytest.approx(0.255)
    assert times_by_type(rows)["Gemm"] == pytest.approx(0.03)
    assert account_of(report, "small.txt")["refused"] == {mnn.OF_TYPES: 1, mnn.OWN_WORK: 1}


def test_alignment_cuts_where_both_sides_do(model):
    kernels = detected(model, "tensorrt_cuda")
    groups = [
        TimedGroup("a", frozenset({"conv1"}), 1.0),
        TimedGroup("b", frozenset({"relu1", "conv2"}), 2.0),
        TimedGroup("c", frozenset({"fc"}), 4.0),
        TimedGroup("d", frozenset({"nobody"}), 8.0),
    ]
    parts = align(kernels, groups)
    named = {tuple(kernels[i].nodes[0] for i in part.kernels): part.ms for part in parts}
    assert named[("conv1", "conv2")] == 3.0
    assert named[("fc",)] == 4.0
    assert named[()] == 8.0
    assert sum(part.ms for part in parts) == 15.0
