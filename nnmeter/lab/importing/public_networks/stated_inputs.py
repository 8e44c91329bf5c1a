"""Inputs that a table leaves open and its source states: `stated_input("ai-hub", "resnet_3d")`.

Each was read in the source's own definition of the model, which also tells the head; what is not stated there is not
here. The four encoders are exported with their heads over all 384 tokens, so they have names of their own.
"""

from __future__ import annotations

from typing import NamedTuple


class StatedInput(NamedTuple):
    """The network that ran, by the name under which `graphs.load` has it, and the shape of its input."""

    network: str
    input_shape: tuple[int, ...]


_VIDEO = (1, 3, 16, 112, 112)  # qai_hub_models/models/_shared/video_classifier/model.py, get_input_spec
_TOKENS = (1, 384)  # qai_hub_models/models/_shared/bert_hf/model.py, get_input_spec
_STATED: dict[tuple[str, str], StatedInput] = {
    ("ai-hub", "resnet_3d"): StatedInput("r3d_18", _VIDEO),
    ("ai-hub", "resnet_2plus1d"): StatedInput("r2plus1d_18", _VIDEO),
    ("ai-hub", "resnet_mixed / ResNet-Mixed-Convolution"): StatedInput("mc3_18", _VIDEO),
    # qai_hub_models/models/fcn_resnet50/model.py, get_input_spec
    ("ai-hub", "fcn_resnet50"): StatedInput("fcn_resnet50", (1, 3, 520, 520)),
    ("ai-hub", "bert_base_uncased_hf"): StatedInput("bert_base_masked_lm", _TOKENS),
    ("ai-hub", "distil_bert_base_uncased_hf"): StatedInput("distilbert_base_masked_lm", _TOKENS),
    ("ai-hub", "albert_base_v2_hf"): StatedInput("albert_base_masked_lm", _TOKENS),
    ("ai-hub", "electra_bert_base_discrim_google"): StatedInput("electra_base_discriminator", _TOKENS),
}


def stated_input(source: str, framework_name: str) -> StatedInput | None:
    """What the source of a table says of a row without an input; None where it says nothing.

    Args:
        source: column `source` of the row.
        framework_name: column `framework_name`.
    """
    return _STATED.get((source, framework_name))


def stated_inputs() -> tuple[StatedInput, ...]:
    """All networks that are here."""
    return tuple(_STATED.values())
