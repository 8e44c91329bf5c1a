"""Kernels of a network for several devices: what is shared changes nothing of what is found."""

from __future__ import annotations

from nnmeter.fusion.detect import detect_kernels
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.public_networks.graphs import load
from nnmeter.lab.importing.published import PublishedDevice

DEVICES = [
    PublishedDevice("ncnn", "A Board", "cpu", "ncnn", "1", "inference_engine"),
    PublishedDevice("openvino", "A Board", "cpu", "openvino", "1", "inference_engine", parameters={"sums_join": True}),
    PublishedDevice("tflite", "A Board", "cpu", "tflite", "1", "tflite21_cpu"),
    PublishedDevice("eager", "A Board", "gpu", "pytorch", "1", "framework"),
    PublishedDevice("compiled", "A Board", "gpu", "pytorch", "1", "framework", parameters={"chains_join": True}),
    PublishedDevice("ncnn-2", "Another Board", "cpu", "ncnn", "1", "inference_engine"),
]


def test_each_device_has_the_kernels_of_its_own_rules() -> None:
    detection = Detection(DEVICES)
    graph = load("mobilenet_v2_0.5_160", (1, 3, 160, 160))
    found = detection.kernels(graph)
    for device in DEVICES:
        alone = [kernel.signature for kernel in detect_kernels(graph, detection.rules[device.name])]
        assert list(found[device.name]) == alone, device.name
    assert len({found[device.name] for device in DEVICES}) >= 3
    assert found["ncnn"] is found["ncnn-2"], "devices of the same rules share their kernels"


def test_rules_that_are_not_wanted_are_not_applied() -> None:
    detection = Detection(DEVICES)
    graph = load("mobilenet_v2_0.5_160", (1, 3, 160, 160))
    place = detection.place("compiled")
    assert detection.kernels_at(graph, {place}) == {place: detection.kernels(graph)["compiled"]}
