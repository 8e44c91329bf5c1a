"""A latency budget on a device, as search engines ask for it: a number a candidate, at most 0 where it is kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.prediction.probability import quantile_ms

if TYPE_CHECKING:
    from nnmeter.devices import DevicePack
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.prediction.prediction import Prediction


@dataclass(frozen=True)
class Cost:
    """What a candidate costs, held against a budget.

    Attributes:
        latency_ms: predicted time.
        counted_ms: what is held against the budget: the predicted time, or the time that the measured one does not
            exceed with the budget's probability.
        over_ms: by how much that is more than the budget; 0 or less where it is kept.
        prediction: where it comes from.
    """

    latency_ms: float
    counted_ms: float
    over_ms: float
    prediction: Prediction

    @property
    def within(self) -> bool:
        """Whether the budget is kept."""
        return self.over_ms <= 0

    def metrics(self) -> dict[str, float]:
        """Plain numbers by name, as trackers and tuners report them."""
        return {"latency_ms": self.latency_ms, "over_ms": self.over_ms}


class LatencyBudget:
    """A budget of milliseconds on a device.

    Args:
        max_ms: what a model may take, in milliseconds.
        device: id or path of a device pack, the pack, or a predictor; the pack nearest to this machine if not given.
        probability: with which the measured time is to keep the budget; the predicted time keeps it if not given.
        sizes: what models leave open.

    Raises:
        NnmeterError: the budget or the probability is none.
        DeviceError: the device is unknown, or its pack is damaged.
    """

    def __init__(
        self,
        max_ms: float,
        device: str | os.PathLike[str] | DevicePack | LatencyPredictor | None = None,
        *,
        probability: float | None = None,
        sizes: InputSizes = AS_DECLARED,
    ) -> None:
        if not max_ms > 0:
            raise NnmeterError(f"a budget of {max_ms} ms cannot be kept; give one above 0")
        if probability is not None and not 0 < probability < 1:
            raise NnmeterError(f"a probability of {probability} is none; give one between 0 and 1")
        self.max_ms = float(max_ms)
        self.probability = probability
        self.sizes = sizes
        self.predictor = predictor_of_device(device)

    def cost(self, model: Any, name: str | None = None) -> Cost:
        """What a model costs.

        Args:
            model: what `nnmeter.predict` takes: path, bytes, `onnx.ModelProto`, `UnboundModel` or `Graph`.
            name: what to call it.

        Raises:
            ModelError: the model cannot be read, or dimensions remain free.
        """
        prediction = self.predictor.predict(model, sizes=self.sizes, name=name)
        latency = prediction.latency_ms
        counted = (
            latency
            if self.probability is None
            else quantile_ms(latency, prediction.probability_within, self.probability)
        )
        return Cost(latency, counted, counted - self.max_ms, prediction)


def predictor_of_device(device: Any) -> LatencyPredictor:
    """The predictor of a device, however it is named; of the pack nearest to this machine for None."""
    from nnmeter.devices import DevicePack
    from nnmeter.prediction.predict import LatencyPredictor, load_predictor, predictor_of

    if isinstance(device, LatencyPredictor):
        return device
    return predictor_of(device) if isinstance(device, DevicePack) else load_predictor(device)
