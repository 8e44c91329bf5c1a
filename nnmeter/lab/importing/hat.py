"""Encoders of transformers timed in PyTorch: "HAT: Hardware-Aware Transformers" (Wang et al., ACL 2020).

`hat.csv.gz` of the public tables, or its directory: a row is an encoder-decoder of a search space, with the mean time
of a pass of the encoder and of a whole translation by the decoder.

Rules:

1. Only the encoder is imported: a pass of it is one inference. A translation is many passes of the decoder, each over
   one token more.
2. An encoder has 6 layers of its embedding width, projections of queries, keys and values to 512 in all, and
   normalizations behind each sum; a sentence has 23 tokens in the task iwslt14deen, 30 in the others, and the batch is
   1 (latency_dataset.py, fairseq/modules/multihead_attention_super.py of the source).
3. Of widths of the feed-forward layers and numbers of heads only the averages are published. Their sums over the layers
   are exact, and widths of 512, 1024, 2048 or 3072 and 2, 4 or 8 heads that have these sums are taken: those that
   differ least.
4. Version of PyTorch and number of threads are not published. PyTorch runs the operators one by one. A device names
   the hardware as the other public tables do, so that what is known of it there is known here.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement
from pathlib import Path

from nnmeter.binding.assembly import Assembly
from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import Graph
from nnmeter.lab.importing.detection import Detection
from nnmeter.lab.importing.published import Imported, PublishedDevice, Source, published_measurement
from nnmeter.lab.importing.text_files import open_text

SOURCE = Source(
    name="hat",
    title="HAT: Hardware-Aware Transformers (Wang et al., ACL 2020)",
    url="https://github.com/mit-han-lab/hardware-aware-transformers",
    license="MIT",
    year=2020,
)

_FILE = "hat.csv.gz"
_LAYERS = 6
_PROJECTION = 512
_WIDEST = 1 << 16  # embedding that is believed
_WIDTHS, _HEADS = (512, 1024, 2048, 3072), (2, 4, 8)
_TOKENS = {"iwslt14deen": 23, "wmt14ende": 30, "wmt14enfr": 30, "wmt19ende": 30}
_VOCABULARY = 32768  # of no effect: a pass reads the rows of its tokens
_HARDWARE = {  # in the table -> name, hardware, kind, what it is a part of
    "rpi4-cpu": ("rpi4-pytorch-encoders", "Raspberry Pi 4 (4x Cortex-A72)", "cpu", "board"),
    "xeon-e5-2640": ("xeon-e5-2640-pytorch-encoders", "Intel Xeon E5-2640", "cpu", "server"),
    "titan-xp": ("titan-xp-pytorch-encoders", "NVIDIA Titan Xp", "gpu", "desktop"),
}


def _device(key: str, name: str, hardware: str, kind: str, place: str) -> PublishedDevice:
    facts = {
        "place": place,
        "threads_stated": False,
        "table": {"source": SOURCE.name, "device": key, "runtime": "pytorch"},
        "pitfalls": ["encoders of translation, 23 or 30 tokens; widths and heads of layers were published as averages"],
    }
    return PublishedDevice(name, hardware, kind, "pytorch", "unknown", "framework", facts=facts)


_DEVICES = {key: _device(key, *words) for key, words in _HARDWARE.items()}

Progress = Callable[[str, int], None]


def devices(source: Path) -> Sequence[PublishedDevice]:
    """The devices of the table."""
    present = {row["device"] for row in _rows(source)}
    return [device for name, device in _DEVICES.items() if name in present]


def import_measurements(
    source: Path,
    chosen: Sequence[PublishedDevice],
    detection: Detection,
    limit: int | None = None,
    progress: Progress | None = None,
    every: int = 1,
) -> Imported:
    """Import the encoders of the table.

    Args:
        source: the table, or its directory.
        chosen: devices to import.
        detection: their fusion rules.
        limit: most rows of each device.
        progress: told the file and how many of its rows are done.
        every: take one row of so many; the others, points of the same grid, are counted as refused.

    Raises:
        MeasurementError: there is nothing to read.
    """
    imported = Imported(SOURCE, fingerprints={d.name: d.fingerprint(SOURCE, *detection.fingerprint_fields(d.name))
                                              for d in chosen})  # fmt: skip
    wanted = {device.name for device in chosen}
    for number, row in enumerate(_rows(source)):
        device = _DEVICES.get(row["device"])
        if device is None or device.name not in wanted or imported.rows[device.name] == limit:
            continue
        if progress and number % 500 == 0:
            progress(_FILE, number)
        if number % every:
            imported.refuse(
                device.name, "left out: a point of a grid of which others are taken", row.get("row_ref", "")
            )
        else:
            _import_row(imported, device, detection, row)
    return imported


def _import_row(imported: Imported, device: PublishedDevice, detection: Detection, row: Mapping[str, str]) -> None:
    try:
        tokens, embedding = _TOKENS[row["task"]], int(row["encoder_embed_dim"])
        widths = composition(float(row["encoder_ffn_embed_dim_avg"]), _WIDTHS)
        heads = composition(float(row["encoder_self_attention_heads_avg"]), _HEADS)
        latency = float(row["encoder_ms"])
        if int(row["encoder_layer_num"]) != _LAYERS or not 0 < embedding <= _WIDEST or not 0 < latency < math.inf:
            raise ValueError(latency)
    except (KeyError, ValueError, TypeError, OverflowError):
        imported.refuse(device.name, "not an encoder of the search space with a time", row.get("row_ref") or "")
        return
    shape = f"{tokens}-{embedding}-{'.'.join(map(str, widths))}-{'.'.join(map(str, heads))}"
    kernels = detection.kernels(encoder(tokens, embedding, widths, heads))[device.name]
    family = f"{row['task']}-{embedding}"
    imported.accept(
        device.name,
        published_measurement(
            SOURCE, device, f"model:{row['row_ref']}", "model", f"encoder-{shape}", family, kernels, latency
        ),
    )


@lru_cache(maxsize=1024)
def composition(average: float, choices: tuple[int, ...]) -> tuple[int, ...]:
    """The choice of each layer whose sum is what the average tells; of several, those that differ least (rule 3).

    Raises:
        ValueError: no choices have that sum.
    """
    total = round(average * _LAYERS)
    fitting = [c for c in combinations_with_replacement(choices, _LAYERS) if sum(c) == total]
    if not fitting or abs(average * _LAYERS - total) > 0.1:
        raise ValueError(average)
    return min(fitting, key=lambda c: (sum(x * x for x in c), c))


@lru_cache(maxsize=4096)
def encoder(tokens: int, embedding: int, widths: tuple[int, ...], heads: tuple[int, ...]) -> Graph:
    """The graph of an encoder (rule 2).

    Args:
        tokens: length of the sentence.
        embedding: width of the embedding.
        widths: of the feed-forward part of each layer.
        heads: of each layer's attention.
    """
    a = Assembly("encoder", "encoder")
    x = a.add("Gather", [a.weight((_VOCABULARY, embedding)), a.input("tokens", (tokens, 1), "int64")])
    x = a.add("Add", [a.add("Mul", [x, a.scalar(math.sqrt(embedding))]), a.weight((tokens, 1, embedding))])
    results = []
    for width, count in zip(widths, heads, strict=True):
        joined = _linear(a, x, embedding, 3 * _PROJECTION)
        query, key, value = a.add_all("Split", [joined], {"axis": 2}, 3)
        query = a.add("Mul", [query, a.scalar((_PROJECTION // count) ** -0.5)])
        shape = (tokens, count, _PROJECTION // count)
        parts = [a.add("Reshape", [part, a.integers(shape)]) for part in (query, key, value)]
        query, value = (a.add("Transpose", [part], {"perm": (1, 0, 2)}) for part in (parts[0], parts[2]))
        scores = a.add("MatMul", [query, a.add("Transpose", [parts[1]], {"perm": (1, 2, 0)})])
        chances = a.add("Softmax", [scores], {"axis": 2})
        taken = a.add("Transpose", [a.add("MatMul", [chances, value])], {"perm": (1, 0, 2)})
        attended = _linear(a, a.add("Reshape", [taken, a.integers((tokens, 1, _PROJECTION))]), _PROJECTION, embedding)
        results.append(a.add("ReduceSum", [chances, a.integers((0,))], {"keepdims": 0}))  # the weights, over heads
        x = _normalized(a, a.add("Add", [x, attended]), embedding)
        inner = a.add("Relu", [_linear(a, x, embedding, width)])
        x = _normalized(a, a.add("Add", [x, _linear(a, inner, width, embedding)]), embedding)
    return bind_shapes(a.finish([x, *results]))


def _linear(a: Assembly, x: str, inputs: int, outputs: int) -> str:
    return a.add("Add", [a.add("MatMul", [x, a.weight((inputs, outputs))]), a.weight((outputs,))])


def _normalized(a: Assembly, x: str, width: int) -> str:
    return a.add("LayerNormalization", [x, a.weight((width,)), a.weight((width,))], {"axis": -1})


def _rows(source: Path) -> list[dict[str, str]]:
    path = source / _FILE if source.is_dir() else source
    with open_text(path, "a table of encoders") as file:
        rows = list(csv.DictReader(file, restval=""))
    if not rows or not {"device", "task", "encoder_ms", "row_ref"} <= set(rows[0]):
        raise MeasurementError(f"{path}: is no table of encoders; give hat.csv.gz or its directory")
    return rows
