"""Random networks of real blocks: `random_network` draws a family, an exporter and a budget, and builds the model.

Rules:

1. A seed always gives the same model, bit for bit.
2. The family's name is the graph's name, and stands with the seed in the model's metadata (`nnmeter.family`).
3. Estimated cost and memory are bounded: a draw beyond the bounds is thrown away before any weight is made, and the
   next one tried.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import onnx

from nnmeter.errors import NnmeterError
from nnmeter.lab.campaign.recipes import (
    blockwise,
    convolutional,
    dense,
    dynamic,
    extremes,
    fourier,
    generation,
    half,
    head_forms,
    hybrid,
    language,
    large,
    misc,
    mobile,
    pyramid,
    quantized,
    reading,
    relative,
    scenes,
    sizes,
    spectra,
    speech,
    sweeps,
    thin,
    video,
    vision_transformer,
)
from nnmeter.lab.campaign.recipes.builder import Budget, Exporter, NetworkBuilder

Family = Callable[[NetworkBuilder], None]

_FLOAT_FAMILIES: dict[str, tuple[Family, float]] = {
    "plain": (convolutional.plain, 7),
    "residual_basic": (convolutional.residual_basic, 7.5),
    "residual_bottleneck": (convolutional.residual_bottleneck, 9),
    "residual_grouped": (convolutional.residual_grouped, 9),
    "residual_preactivated": (convolutional.residual_preactivated, 2.5),
    "reparameterised": (convolutional.reparameterised, 3),
    "attention_in_convolutions": (convolutional.attention_in_convolutions, 1.5),
    "separable": (mobile.separable, 4),
    "inverted_residual": (mobile.inverted_residual, 12),
    "fused_inverted_residual": (mobile.fused_inverted_residual, 2.5),
    "ghost": (mobile.ghost, 2.5),
    "shuffle_split": (mobile.shuffle_split, 3),
    "shuffle_grouped": (mobile.shuffle_grouped, 3),
    "partial": (mobile.partial, 1.5),
    "gated_mobile": (mobile.gated_mobile, 1.5),
    "dense": (dense.dense, 4.5),
    "fire": (dense.fire, 2),
    "inception": (dense.inception, 4),
    "aggregation": (dense.aggregation, 3.5),
    "multi_resolution": (dense.multi_resolution, 3),
    "chain": (dense.chain, 3.5),
    "feature_pyramid": (pyramid.feature_pyramid, 2),
    "atrous": (pyramid.atrous, 2.5),
    "encoder_decoder": (pyramid.encoder_decoder, 1.5),
    "super_resolution": (pyramid.super_resolution, 1),
    "patch_merging": (pyramid.patch_merging, 0.7),
    "convnext": (hybrid.convnext, 4),
    "metaformer": (hybrid.metaformer, 2),
    "convolution_and_attention": (hybrid.convolution_and_attention, 2),
    "unfolded": (hybrid.unfolded, 1.2),
    "linear_attention": (hybrid.linear_attention, 1.2),
    "nonlocal_block": (hybrid.nonlocal_block, 0.8),
    "plain_vit": (vision_transformer.plain_vit, 5),
    "windowed": (vision_transformer.windowed, 5.5),
    "spatial_reduction": (vision_transformer.spatial_reduction, 1.5),
    "token_mixer": (vision_transformer.token_mixer, 3),
    "encoder": (language.encoder, 6),
    "decoder": (language.decoder, 3.5),
    "gated_decoder": (language.gated_decoder, 4),
    "sequence_to_sequence": (language.sequence_to_sequence, 2),
    "token_layers": (language.token_layers, 2),
    "audio": (language.audio, 5),
    "adapters": (language.adapters, 0.5),
    "image_mixture": (misc.image_mixture, 4),
    "token_mixture": (misc.token_mixture, 2.5),
    "map_mixture": (misc.map_mixture, 1.5),
    "perceptron": (misc.perceptron, 2.5),
    "recommender": (misc.recommender, 0.6),
    "recurrent": (misc.recurrent, 2),
    "volume": (misc.volume, 0.8),
    "signal": (misc.signal, 1),
    "gated_features": (misc.gated_features, 1.5),
    "map_extremes": (extremes.map_extremes, 2),
    "sequence_extremes": (extremes.sequence_extremes, 2),
    "text_lines": (reading.text_lines, 5),
    "detector": (reading.detector, 4),
    "speech": (speech.speech, 7),
    "cached_decoder": (generation.cached_decoder, 4),
    "fourier_mixing": (fourier.fourier_mixing, 0.8),
    "mixed_heads": (head_forms.mixed_heads, 1),
    "pooled_heads": (head_forms.pooled_heads, 1.2),
    "convolved_heads": (head_forms.convolved_heads, 1),
    "two_scales": (head_forms.two_scales, 1.2),
    "relative_positions": (relative.relative_positions, 1.8),
    "dynamic_windows": (relative.dynamic_windows, 0.8),
    "outlook": (relative.outlook, 0.7),
    "scenes": (scenes.scenes, 3),
    "deep_lines": (thin.deep_lines, 2),
    "slopes": (thin.slopes, 1.5),
    "grouped_signal": (thin.grouped_signal, 1.2),
    "video": (video.video, 1.8),
    "characters": (thin.characters, 2.5),
    "time_frequency": (spectra.time_frequency, 3),
}
_WIDE_SHARES = {"plain": 0.3, "perceptron": 0.3, "encoder": 0.06, "decoder": 0.1, "gated_decoder": 0.06}
_WIDE_BYTES = (150_000_000, 460_000_000)
# Networks of other types are float ones rewritten: the rewriting, the families that it takes, and its share of all.
_REWRITTEN: dict[str, tuple[Family, dict[str, float], float]] = {
    "quantized_static": (quantized.quantize_static, quantized.IMAGE_SOURCES, 0.11),
    "quantized_static_tokens": (quantized.quantize_static, quantized.TOKEN_SOURCES, 0.05),
    "quantized_dynamic": (dynamic.quantize_dynamic, dynamic.SOURCES, 0.06),
    "quantized_dynamic_maps": (dynamic.quantize_dynamic_maps, dynamic.MAP_SOURCES, 0.03),
    "half_precision": (half.convert_to_half, half.SOURCES, 0.10),
    "quantized_blocks": (blockwise.quantize_blocks, blockwise.SOURCES, 0.05),
}
# Networks as large as real models: the families whose parts they have, and their share of all.
_LARGE: dict[str, tuple[dict[str, float], float]] = {
    "large_convolutional": (large.CONVOLUTIONAL, 0.05),
    "large_mobile": (large.MOBILE, 0.03),
    "large_tokens": (large.TOKENS, 0.03),
    "large_language": (large.LANGUAGE, 0.04),
    "large_quantized": (large.QUANTIZED, 0.015),
    "large_half": (large.HALF, 0.005),
}
# Operators by all their attributes, types and patterns, and their share of all.
_SWEEPS: dict[str, tuple[Family, float]] = {
    "operators_alone": (sweeps.operators_alone, 0.06),
    "operators_behind_convolutions": (sweeps.operators_behind_convolutions, 0.05),
    "operators_behind_products": (sweeps.operators_behind_products, 0.035),
    "fused_operators": (sweeps.fused_operators, 0.02),
    "fused_standard_operators": (sweeps.fused_standard_operators, 0.005),
}

FAMILIES: tuple[str, ...] = (*_FLOAT_FAMILIES, *_REWRITTEN, *_LARGE, *_SWEEPS)
"""Names of all families of random networks."""

LARGE_FAMILIES: tuple[str, ...] = tuple(_LARGE)
"""Names of the families whose networks are as large as real models."""

SWEEPING_FAMILIES: tuple[str, ...] = tuple(_SWEEPS)
"""Names of the families whose networks sweep operators."""

_FLOAT_WEIGHT = sum(weight for _, weight in _FLOAT_FAMILIES.values())
_SHARES: dict[str, float] = {
    name: entry[-1] for table in (_REWRITTEN, _LARGE, _SWEEPS) for name, entry in table.items()
}
_FLOAT_SHARE = 1.0 - sum(_SHARES.values())

PRIOR: dict[str, float] = {
    **{name: weight for name, (_, weight) in _FLOAT_FAMILIES.items()},
    **{name: _FLOAT_WEIGHT / _FLOAT_SHARE * share for name, share in _SHARES.items()},
}
"""Weight of each family: how often its like is met in practice."""

_EXPORTERS = (
    (Exporter(18, dynamo=True, folds_batch_norm=True), 54),
    (Exporter(18, dynamo=True, folds_batch_norm=False), 4),
    (Exporter(20, dynamo=True, folds_batch_norm=True), 12),
    (Exporter(17, dynamo=False, folds_batch_norm=True), 16),
    (Exporter(17, dynamo=False, folds_batch_norm=False), 4),
    (Exporter(13, dynamo=False, folds_batch_norm=True), 10),
)
_ATTEMPTS = 60
_HARD_COST_FACTOR = 2.5
_MIN_NODES = 3
_OPERATORS, _SMALL_OPERATORS = (18, 72), (2, 12)
_LIVE_BYTES, _LARGEST_WEIGHT_BYTES = 400_000_000, 440_000_000


def random_network(seed: int, focus: str | None = None, small: bool = False) -> onnx.ModelProto:
    """A random network of real blocks with random weights, the same for the same seed.

    Args:
        seed: any integer.
        focus: one of `FAMILIES`, to draw from that family only.
        small: make it of few operators, a block or two, so that its time tells much about each of them.

    Returns:
        A model with static shapes whose graph is named after its family. It is estimated at no more than 200 ms on one
        core and mostly has at most 120 MB of weights.

    Raises:
        NnmeterError: `focus` is no family.
    """
    if focus is not None and focus not in FAMILIES:
        raise NnmeterError(f"focus '{focus}' is no family of random networks; give one of: {', '.join(FAMILIES)}")
    rng = random.Random(f"nnmeter-{seed}")
    family = focus or rng.choices(FAMILIES, list(PRIOR.values()))[0]
    builder = _build(family, rng, seed, small)
    return builder.finish(family, {"nnmeter.family": family, "nnmeter.seed": str(seed)})


def _build(family: str, rng: random.Random, seed: int, small: bool) -> NetworkBuilder:
    """Draws networks of `family` until one keeps to its bounds."""
    for _ in range(_ATTEMPTS):
        exporter = rng.choices([e for e, _ in _EXPORTERS], [w for _, w in _EXPORTERS])[0]
        wide = rng.random() < _WIDE_SHARES.get(family, 0.0)
        budget = Budget(
            cost_ms=min(120.0, max(3.0, rng.lognormvariate(3.3, 0.8))),
            operators=rng.randint(*(_SMALL_OPERATORS if small else _OPERATORS)),
            weight_bytes=round(sizes.log_uniform(rng, *(_WIDE_BYTES if wide else (2e7, 1.2e8)))),
        )
        builder = NetworkBuilder(rng, exporter, budget)
        if family in _LARGE and not small:
            if _grow(builder, _LARGE[family][0]):
                return builder
        elif _draw(builder, _pick(rng, _LARGE[family][0]) if family in _LARGE else family):
            return builder
    raise NnmeterError(f"no network of family '{family}' kept to its bounds for seed {seed}; try another seed")


def _grow(builder: NetworkBuilder, sources: dict[str, float]) -> bool:
    """Makes an empty builder a large network of parts of some families; whether it keeps to its bounds."""
    large.grow(builder, lambda part: _draw(part, _pick(part.rng, sources)))
    return len(builder.nodes) >= _MIN_NODES and builder.live_bytes() <= _LIVE_BYTES


def _draw(builder: NetworkBuilder, family: str) -> bool:
    """Draws a network of one family into an empty builder; whether it keeps to its bounds."""
    if family in _REWRITTEN:
        rewrite, sources, _ = _REWRITTEN[family]
        _FLOAT_FAMILIES[_pick(builder.rng, sources)][0](builder)
        rewrite(builder)
    elif family in _SWEEPS:
        _SWEEPS[family][0](builder)
    else:
        _FLOAT_FAMILIES[family][0](builder)
    return _acceptable(builder)


def _pick(rng: random.Random, weights: dict[str, float]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _acceptable(builder: NetworkBuilder) -> bool:
    budget = builder.budget
    return (
        len(builder.nodes) >= _MIN_NODES
        and builder.cost_ms <= min(200.0, _HARD_COST_FACTOR * budget.cost_ms)
        and builder.weight_bytes <= min(_LARGEST_WEIGHT_BYTES, 1.3 * budget.weight_bytes)
        and builder.live_bytes() <= _LIVE_BYTES
    )
