"""What would make a model faster on a device: changes, each tried as a transform on the whole model.

1. Everything that is advised was tried: the model is transformed, its kernels are detected and priced, and the gain is
   that of the whole model with the interval of the difference.
2. A change says what becomes of the model: it computes the same (`same`), it needs other weights or a calibration
   (`weights`), or it is another function and has to be trained again (`function`).
3. What the device's pack was not trained on cannot be judged by it, and is named as such in place of a gain.
4. A change that makes nothing faster for sure is left out, and so are widths that save no more than in proportion.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.advice.layers import AddedWork, Layer, added_work, dominant_layers
from nnmeter.advice.precisions import try_precisions
from nnmeter.advice.rewriting import try_rewrites
from nnmeter.advice.trial import Trial, Workbench
from nnmeter.advice.widths import Stair, try_widths
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes

if TYPE_CHECKING:
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.prediction.prediction import Prediction

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Advised:
    """A model's advice on a device.

    Attributes:
        model: its path or name.
        prediction: what it takes as it is.
        layers: those that take longest, with their channels.
        added: what the runtime adds to bring data between layouts.
        stairs: of layers, what other widths would take.
        advice: the changes that gain most, the greatest gain first.
        not_judged: changes that the pack cannot judge (rule 3).
        confidence: of the intervals.
    """

    model: str
    prediction: Prediction
    layers: tuple[Layer, ...]
    added: AddedWork
    stairs: tuple[Stair, ...]
    advice: tuple[Trial, ...]
    not_judged: tuple[Trial, ...]
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """The advice as JSON has it, schema version 1."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "device": self.prediction.device,
            "latency_ms": self.prediction.latency_ms,
            "interval_ms": list(self.prediction.interval_ms),
            "confidence": self.confidence,
            "layers": [layer.to_dict() for layer in self.layers],
            "added_work": self.added.to_dict(),
            "stairs": [stair.to_dict() for stair in self.stairs],
            "advice": [trial.to_dict() for trial in self.advice],
            "not_judged": [trial.to_dict() for trial in self.not_judged],
        }


def advise(
    model: Any,
    predictor: LatencyPredictor,
    sizes: InputSizes = AS_DECLARED,
    confidence: float = 0.9,
    name: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Advised:
    """Try changes of a model and give those that make it faster on a device.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`.
        predictor: of the device.
        sizes: what the model leaves open.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.
        name: what to call the model, in place of its path.
        progress: told how many changes were tried, and how many there are about.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
    """
    unbound = read_model(model, name)
    called = name or (os.fspath(model) if isinstance(model, str | os.PathLike) else unbound.name)
    bench = Workbench(unbound, predictor, sizes, confidence, called)
    layers = dominant_layers(bench)
    stairs: list[Stair] = []
    trials: list[Trial] = []
    for number, trial in enumerate(_all(bench, layers, stairs)):
        if progress is not None:
            progress(min(number, _ABOUT - 1), _ABOUT)
        trials.append(trial)
    gains = sorted((t for t in trials if t.judged and t.gains), key=lambda t: t.comparison.difference_ms)
    return Advised(
        called,
        bench.before,
        tuple(layers),
        added_work(bench.before),
        tuple(stairs),
        tuple(gains),
        tuple(trial for trial in trials if not trial.judged),
        confidence,
    )


_ABOUT = 40  # changes that are tried of a usual model, for progress


def _all(bench: Workbench, layers: Sequence[Layer], stairs: list[Stair]) -> Iterator[Trial]:
    yield from try_precisions(bench)
    yield from try_rewrites(bench)
    yield from try_widths(bench, layers, stairs)
