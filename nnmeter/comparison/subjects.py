"""What is compared with what: models, saved predictions, devices and sizes as pairs of predictions.

Rules:

1. A subject is a model, or a prediction that was saved; a saved one names the device and the sizes that models are
   predicted at, where nobody names any.
2. Several subjects: each is compared with the first, on the same device and at the same sizes.
3. One subject: each of its predictions, on other devices or at other sizes, is compared with the first of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.comparison.comparison import DEFAULT_CONFIDENCE, Comparison, compare_predictions
from nnmeter.errors import ModelError
from nnmeter.prediction.prediction import Prediction


def compare_subjects(
    subjects: Sequence[Sequence[Prediction]], confidence: float = DEFAULT_CONFIDENCE
) -> list[Comparison]:
    """The comparisons of some subjects (rules 2 and 3).

    Args:
        subjects: the predictions of each, in the order of sizes, then of devices.
        confidence: of the intervals.

    Raises:
        ModelError: there is nothing to compare, or two subjects were predicted at different numbers of sizes.
    """
    first, *others = subjects
    if not others:
        if len(first) < 2:
            raise ModelError(
                f"{first[0].model}: one model on one device at one size is nothing to compare; give another model, "
                "a second --device, or several sizes: --dim batch=1,8"
            )
        return [compare_predictions(first[0], other, confidence) for other in first[1:]]
    found = []
    for predictions in others:
        for before, after in zip(*_matched(first, predictions), strict=True):
            found.append(compare_predictions(before, after, confidence))
    return found


def _matched(first: Sequence[Prediction], other: Sequence[Prediction]) -> tuple[Sequence[Prediction], ...]:
    """Both as often: a subject of one prediction for each device is compared with every size of the other."""
    if len(first) == len(other):
        return first, other
    devices = len({p.device for p in first})
    if len({p.device for p in other}) == devices:
        if len(first) == devices:
            return tuple(first) * (len(other) // devices), other
        if len(other) == devices:
            return first, tuple(other) * (len(first) // devices)
    raise ModelError(
        f"{other[0].model}: {len(other)} predictions do not go with {len(first)} of {first[0].model}; give sizes and "
        "devices that both have"
    )


def dims_of_saved(saved: Sequence[Prediction]) -> dict[str, int]:
    """The sizes that all saved predictions are of (rule 1); none where they differ."""
    sizes = [dict(prediction.dims) for prediction in saved]
    return sizes[0] if sizes and all(given == sizes[0] for given in sizes) else {}


def device_of_saved(saved: Sequence[Prediction]) -> str | None:
    """The device that saved predictions are of (rule 1); None without any.

    Raises:
        ModelError: they are of several.
    """
    devices = list(dict.fromkeys(prediction.device for prediction in saved))
    if len(devices) > 1:
        raise ModelError(
            f"the predictions were saved on {devices[0]} and on {devices[1]}; models cannot be predicted on both, save "
            "one again, or compare the saved ones alone"
        )
    return devices[0] if devices else None
