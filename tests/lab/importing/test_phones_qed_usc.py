from __future__ import annotations

import csv
import gzip
from collections import Counter

import pytest

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.lab.importing.network_catalog import network_names, read_network
from nnmeter.lab.importing.phone_operations import joined_operators
from nnmeter.lab.importing.phones_qed_usc import family_of
from nnmeter.lab.importing.run import import_dataset
from nnmeter.lab.measuring.store import read_measurements

GPU, CPU, INT8 = "pixel4-gpu-tflite", "pixel4-1large-tflite", "pixel4-1large-tflite-int8"


def write_table(path, header, *lines) -> None:
    with gzip.open(path, "wt", newline="") as stream:
        csv.writer(stream).writerows([header, *lines])


def feature(size, channels, out, stride, window, filters, groups=1) -> str:
    return str({"Input_shape": str(size), "Input_channel": channels, "Output_shape": str(out), "Stride": str(stride),
                "Kernel": str(window), "Filter": str(filters), "Group": str(groups), "FLOPS": "1"})  # fmt: skip


@pytest.fixture
def source(tmp_path):
    write_table(
        tmp_path / "tflite_cnn_e2e.csv.gz",
        ["model", "FLOPS", "size", "pixel4|1large|float|mean", "pixel4|1large|float|std", "pixel4|gpu|float|mean",
         "pixel4|1large|quant|mean"],
        ["resnet10", 1, 1, 50000.0, 10, 9000.0, 20000],
        ["mobilenetv2_w1", 1, 1, 30000.0, 10, "", 12000],
        ["wizardnet", 1, 1, 1.0, 1, 1.0, 1.0],
    )  # fmt: skip
    gpu = "pixel4|gpu|float", "pixel4|gpu|kernel", "iphonexs|gpu|float", "iphonexs|gpu|kernel"
    write_table(
        tmp_path / "tflite_cnn_ops_gpu.csv.gz",
        ["model", "operation", "feature", *gpu],
        ["net", "CONV_2D", feature(224, 3, 112, 2, 3, 8), 29.2, "convolution_2d_0_linked_:_hard_swish_1", 28.5,
         "convolution_winograd_4x4_6x6_1"],
        ["net", "DEPTHWISE_CONV_2D", feature(114, 8, 112, 1, 3, 1), 33.4,
         "depthwise_convolution_3_linked_:_relu_4", 22.9, "depthwise_conv_plus_1x1_conv_3_4_5_linked_:_add_6"],
        ["net", "CONV_2D", feature(112, 8, 112, 1, 1, 8), 16.1, "convolution_2d_5_linked_:_add_6", 22.9,
         "depthwise_conv_plus_1x1_conv_3_4_5_linked_:_add_6"],
        ["net", "MEAN", feature(112, 8, 8, "-", 1, "-", "-"), 9.9, "mean_25", 9.1, "mean_25"],
        ["net", "FULLY_CONNECTED", feature("-", 8, "-", "-", "-", 1000, "-"), 9.9, "fully_connected_122", "",
         "fully_connected_122"],
        ["net", "SORT", feature(1, 8, 1, 1, 1, 8), 1.0, "sort", 1.0, "sort"],
        ["net", "CONCATENATION", feature(28, 64, 28, "-", 4, 256, "-"), 42.0, "concat_25", 40.0, "concat_25"],
        ["squeezenet_v1_1", "CONCATENATION", feature(13, 256, 13, "-", 2, 512, "-"), 42.0, "concat_25", 40.0,
         "concat_25"],
    )  # fmt: skip
    write_table(tmp_path / "torch_cnn_e2e.csv.gz", ["model"], ["resnet10"])
    return tmp_path


def test_every_row_is_imported_or_refused(source, tmp_path):
    report = import_dataset("phones-qed-usc", source, tmp_path / "out")
    assert set(report["devices"]) == {CPU, INT8, GPU, "iphonexs-gpu-tflite"}
    rows = {name: (c["rows"], c["imported_rows"], c["measurements"]) for name, c in report["devices"].items()}
    assert rows == {CPU: (3, 2, 2), INT8: (3, 2, 2), GPU: (3 + 8, 1 + 6, 7), "iphonexs-gpu-tflite": (8, 5, 4)}
    assert report["devices"][GPU]["refused"]["no time in the table"] == 1
    assert any("wizardnet" in text or "no network of that name" in text for text in report["devices"][CPU]["refused"])
    assert report["passed_over"]["torch_cnn_e2e.csv"].startswith("1 lines of PyTorch Mobile")


def kernels_of(path) -> dict[str, list]:
    return {row.id: row for row in read_measurements(path)[0]}


def test_the_name_of_a_kernel_tells_what_joined_it(source, tmp_path):
    import_dataset("phones-qed-usc", source, tmp_path / "out")
    rows = kernels_of(tmp_path / "out" / f"{GPU}.parquet")
    types = [rows[f"kernel:net:{n}"].kernels[0].type for n in range(1, 6)]
    assert types == ["Conv+HardSwish", "Conv+Relu", "Conv+Add", "GlobalAveragePool", "Gemm"]
    assert rows["kernel:net:1"].latency_ms == pytest.approx(0.0292)
    assert {row.granularity for row in rows.values()} == {"kernel", "model"}


def test_padding_by_an_operator_of_its_own_is_padding_of_the_window(source, tmp_path):
    import_dataset("phones-qed-usc", source, tmp_path / "out")
    depthwise = kernels_of(tmp_path / "out" / f"{GPU}.parquet")["kernel:net:2"].kernels[0]
    assert depthwise.inputs[0].shape == (1, 8, 112, 112)
    assert depthwise.attribute("pads") == (1, 1, 1, 1)
    assert depthwise.attribute("group") == 8


def test_two_convolutions_in_one_kernel_are_one_measurement_of_both(source, tmp_path):
    import_dataset("phones-qed-usc", source, tmp_path / "out")
    rows = kernels_of(tmp_path / "out" / "iphonexs-gpu-tflite.parquet")
    pair = rows["kernel:net:3"]
    assert pair.granularity == "block"
    assert [k.type for k in pair.kernels] == ["Conv+Relu", "Conv+Add"]
    assert "kernel:net:2" not in rows
    assert rows["kernel:net:1"].kernels[0].type == "Conv+HardSwish"  # as the other phone says


def test_cores_are_threads_and_integers_have_one_byte(source, tmp_path):
    import_dataset("phones-qed-usc", source, tmp_path / "out")
    row = read_measurements(tmp_path / "out" / f"{INT8}.parquet")[0][0]
    assert row.threads == 1
    assert {t.dtype for k in row.kernels for t in k.outputs} == {"int8"}


@pytest.mark.parametrize(
    ("phone", "cores"),
    [("../../pixel4", "1large"), ("pixel4", "9" * 200), ("pixel4", "\u00b2"), ("pixel4", "a/b"), ("", "1")],
)
def test_a_device_whose_file_would_lie_elsewhere_or_nowhere_is_refused(tmp_path, phone, cores):
    write_table(tmp_path / "tflite_cnn_e2e.csv.gz", ["model", f"{phone}|{cores}|float|mean"], ["resnet10", 50000.0])
    with pytest.raises(MeasurementError, match="after which no file can be called"):
        import_dataset("phones-qed-usc", tmp_path, tmp_path / "a" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tflite_cnn_e2e.csv.gz"]


def test_a_line_that_ends_early_is_refused_and_the_others_are_not(source, tmp_path):
    with gzip.open(source / "tflite_cnn_ops_gpu.csv.gz", "at", newline="") as stream:
        stream.write("late,CONV_2D\n")
        csv.writer(stream).writerow(["late", "CONV_2D", feature(224, 3, 112, 2, 3, 8), 29.2])
    report = import_dataset("phones-qed-usc", source, tmp_path / "out")["devices"][GPU]
    assert (report["rows"], report["measurements"]) == (13, 8)
    assert report["refused"]["the features of the operation cannot be read"] == 1


def test_operations_of_a_network_are_kernels_of_its_graph():
    """A convolution of the tables has the signature that detection finds in the network that ships."""
    graph = bind_shapes(read_network("mobilenetv3_large_w7d20"))
    found = Counter(k.type for k in detect_kernels(graph, load_rules("tflite_gpu")))
    assert found["Conv+HardSwish"] > 10
    assert found["Conv+HardSigmoid"] == 8
    assert found["Conv+Add"] >= 10


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("convolution_2d_0", ()),
        ("convolution_2d_1_linked_:_add_2_linked_:_mul_3_linked_:_add_4_linked_:_relu_5",
         ("Add", "BatchNormalization", "Relu")),
        ("fully_connected_28_linked_:_relu_29_linked_:_mul_30", ("HardSigmoid",)),
        ("fully_connected_28_linked_:_minimum_29_linked_:_relu_30", ("Clip",)),
        ("pooling_2d_3_linked_:_relu_4", ("Relu",)),
        ("convolution_winograd_4x4_6x6_1", None),
        ("depthwise_conv_plus_1x1_conv_3_4_5_linked_:_add_6", None),
    ],
)  # fmt: skip
def test_names_of_kernels(kernel, expected):
    assert joined_operators(kernel) == expected


def test_families():
    assert [family_of(n) for n in ("mobilenetv3_large_w1", "mobilenet_wd2", "mobilenetb_w1", "preresnet18_w3d4",
                                   "resnext14_16x4d", "seresnet10", "sepreresnet12", "efficientnet_edge_small_b")] == [
        "mobilenetv3", "mobilenet", "mobilenet", "preresnet", "resnext", "seresnet", "sepreresnet", "efficientnet_edge",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["resnet10", "squeezenet_v1_1", "ghostnet", "hrnet_w18_small_v1", "regnety002"])
def test_networks_that_ship_have_static_shapes(name):
    graph = bind_shapes(read_network(name))
    assert graph.types[graph.outputs[0]].shape == (1, 1000)


def test_the_catalog_has_the_networks_of_the_tables():
    names = set(network_names())
    assert len(names) > 150
    assert {"bagnet9", "densenet169", "proxylessnas_mobile14", "vovnet27s", "squeezeresnet_v1_1", "dla46c"} <= names


def test_a_directory_without_tables_is_an_error(tmp_path):
    with pytest.raises(MeasurementError, match="holds neither"):
        import_dataset("phones-qed-usc", tmp_path, tmp_path / "out")


@pytest.mark.parametrize("lacking", ["operation", "feature", "pixel4|gpu|kernel"])
def test_a_table_without_a_column_is_no_fault_of_ours(source, tmp_path, lacking):
    path = source / "tflite_cnn_ops_gpu.csv.gz"
    with gzip.open(path, "rt", newline="") as stream:
        header, *lines = csv.reader(stream)
    write_table(path, [name if name != lacking else "other" for name in header], *lines)
    if "|" in lacking:
        report = import_dataset("phones-qed-usc", source, tmp_path / "out")
        assert report["devices"][GPU]["rows"] == 3, "the operations tell nothing of that device"
    else:
        with pytest.raises(MeasurementError, match="its columns are not model, operation, feature"):
            import_dataset("phones-qed-usc", source, tmp_path / "out")
