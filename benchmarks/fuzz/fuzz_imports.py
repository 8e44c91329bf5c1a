"""What `nnmeter import` reads: small published tables, and profiles as tools write them; changes of these.

The first byte of an input says which reader it is for (`READERS`). Profiles are those that the tests of the readers
have, beside the network that they are of.
"""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx

from nnmeter.errors import NnmeterError

sys.path.append(str(Path(__file__).parents[2]))
from tests.lab.importing.profiles import conftest as profiles

READERS = ("hat.csv", "conv_fp32.txt", "tflite_cnn_e2e.csv", "tflite_cnn_ops_gpu.csv", "some.jsonl", "table.csv",
           "small.csv", "times.csv", "small.profile.json", "small.times.json", "small.ncnn.txt", "small.mnn.txt",
           "small.tsv", "net.pt.trace.json")  # fmt: skip
_DATASETS = ("hat", "v100-tensorrt", "phones-qed-usc", "phones-qed-usc", "nn-meter-26k", "public-networks")
_VALUES = ("0", "-1", "nan", "inf", "-inf", "1e308", "1e-300", "1e999", "", "fast", "\u0663", "\u00b2", "0x10", "1_0",
           "9" * 5000, "9" * 30, "\x1b[31m", "\x00", "-" * 2000 + "1", "[" * 2000, "a" * 200_000, "../../x", "True",
           "1x3x-1x2", "\ud7ff", '"', "{}", "[1e999]", "5")  # fmt: skip
_FEATURE = {"Input_shape": "112", "Input_channel": 8, "Output_shape": "112", "Stride": "1", "Kernel": "1",
            "Filter": "8", "Group": "1", "FLOPS": "1"}  # fmt: skip


def import_files() -> Iterator[bytes]:
    """A sound input for each reader."""
    for number, text in enumerate(_texts()):
        yield bytes([number]) + text.encode()


def _texts() -> Iterator[str]:
    yield (
        "source,device,kind,task,encoder_embed_dim,encoder_layer_num,encoder_ffn_embed_dim_avg,"
        "encoder_self_attention_heads_avg,encoder_ms,decoder_ms,row_ref\n"
        "hat,rpi4-cpu,board-cpu,wmt14ende,640,6,1706.67,6.33333,250.5,900.1,a.csv:3\n"
        "hat,rpi4-cpu,board-cpu,wmt14enfr,512,6,2133.33,6,201.25,800.2,b.csv:4\n"
    )
    yield "Regular,1,3,224,224,64,7,2,0}0.5\n{Depthwise,1,96,28,28,96,5,2,0}0.1\n{Regular,8,64,57,57,32,3,2,1}1.5\n"
    yield (
        "model,FLOPS,size,pixel4|1large|float|mean,pixel4|gpu|float|mean\n"
        "resnet10,1,1,50000.0,9000.0\nmobilenetv2_w1,1,1,30000.0,12000\n"
    )
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["model", "operation", "feature", "pixel4|gpu|float", "pixel4|gpu|kernel"])
    writer.writerow(["net", "CONV_2D", str(_FEATURE), 29.2, "convolution_2d_0_linked_:_hard_swish_1"])
    writer.writerow(["net", "CONCATENATION", str({**_FEATURE, "Kernel": 2}), 42.0, "concat_25"])
    yield lines.getvalue()
    nodes = [
        ["input", [], {}, [8, 8, 3]],
        ["conv", [0], {"k": 3, "s": 1, "pad": "SAME", "cin": 3, "cout": 4}, [8, 8, 4]],
    ]
    entry = {"id": "net-1", "family": "resnet", "latency_ms": {"cortexA76cpu_tflite21": 3.5}, "nodes": nodes}
    yield "".join(json.dumps({**entry, "id": f"net-{n}"}) + "\n" for n in range(2))
    yield (
        "network,device,latency_ms,input,batch,runtime,threads,quantity,kind,chip,spread\n"
        "resnet18,rpi4-cpu,99.5,1x3x224x224,1,ncnn,4,latency,board-cpu,BCM2711,0.1\n"
        "mobilenet_v2,rpi4-cpu,31,,,ncnn,4,,,,\n"
    )
    yield profiles.TFLITE_CSV
    yield "model,sizes,ms,family,runs,min_ms,p90_ms\nsmall.onnx,,3.5,vision,5,3,4\nsmall.onnx,x=1x8x16x16,3.6,,,,\n"
    yield json.dumps(profiles.TRT_PROFILE)
    yield json.dumps(profiles.TRT_TIMES)
    yield profiles.NCNN_LOG
    yield profiles.MNN_LOG
    yield profiles.EXECUTORCH_TSV
    yield json.dumps(profiles.pytorch_trace(2))


def mutate_import(data: bytes, seed: int, mutate_bytes: Callable[[bytes, int], bytes]) -> bytes:
    """Another input for the same reader: other bytes, another cell, another value of JSON, lines doubled or cut."""
    chance = random.Random(seed)
    kind = chance.random()
    if kind < 0.15 or len(data) < 2:
        return data[:1] + mutate_bytes(data[1:], 1 << 20)
    text = data[1:].decode("utf-8", "replace")
    if text[:1] in "[{" and kind < 0.7:
        parts = text.split(",")
        place = chance.randrange(len(parts))
        key, colon, _ = parts[place].rpartition(":")
        parts[place] = (
            f"{key}{colon}{chance.choice(('NaN', '1e999', '-1', 'null', '[]', '{}', '1e308', '9' * 400, '5'))}"
        )
        return data[:1] + ",".join(parts).encode("utf-8", "replace")
    lines = text.split("\n")
    row = chance.randrange(len(lines))
    if kind < 0.8:
        mark = next((m for m in ("\t", "|", "  ", ",") if m in lines[row]), ",")
        cells = lines[row].split(mark)
        cells[chance.randrange(len(cells))] = chance.choice(_VALUES)
        lines[row] = mark.join(cells)
    elif kind < 0.9:
        lines.insert(row, lines[chance.randrange(len(lines))])
    else:
        del lines[row]
    return data[:1] + "\n".join(lines).encode("utf-8", "replace")


def import_target(directory: Path) -> Callable[[bytes], bool]:
    """An input of a reader: imported, and what is written read again by the check of every verb."""
    from nnmeter.lab.importing.profiles.run import import_profiles
    from nnmeter.lab.importing.profiles.setting import MeasuredDevice
    from nnmeter.lab.importing.run import import_dataset
    from nnmeter.lab.measuring.store import read_measurements
    from nnmeter.lab.report import LAB
    from nnmeter.report.registry import Layout

    folders = [directory / f"{number}" for number in range(len(READERS))]
    for folder in folders:
        folder.mkdir()
        onnx.save(profiles.small_network(), folder / "small.onnx")
    for name in ("small.profile.json", "small.times.json"):  # these belong together
        (folders[READERS.index(name)] / "small.layers.json").write_text(json.dumps(profiles.TRT_LAYERS))
    (folders[READERS.index("small.times.json")] / "small.profile.json").write_text(json.dumps(profiles.TRT_PROFILE))
    output = directory / "out.parquet"
    layout = Layout(False, 100)

    def run(data: bytes) -> bool:
        number = data[0] % len(READERS)
        path = folders[number] / READERS[number]
        path.write_bytes(data[1:])
        output.unlink(missing_ok=True)
        shutil.rmtree(directory / "devices", ignore_errors=True)
        try:
            if number < len(_DATASETS):
                report = import_dataset(_DATASETS[number], path, directory / "devices")
                LAB.render("imported", report, "table", layout)
            else:
                device = MeasuredDevice(name="board", runtime="tract" if READERS[number] == "times.csv" else "")
                report = import_profiles([folders[number]], output, device)
                LAB.render("profiles", report, "table", layout)
        except NnmeterError:
            return False
        for name, written in report["files"].items() if number < len(_DATASETS) else [("", str(output))]:
            if not read_measurements(written)[0]:
                raise RuntimeError(f"nothing in what was imported of {name}")
        return True

    return run
