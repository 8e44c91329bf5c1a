"""Language and audio transformers: BERT, GPT-2, LLaMA, T5 and other cross-attending decoders, Whisper, wav2vec."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import gelu_erf, gelu_tanh, relu, silu, token_activation
from nnmeter.lab.campaign.recipes.attention import (
    attention_form,
    boolean_mask,
    causal_mask,
    cross_attention,
    padding_mask,
    position_bias,
    self_attention,
)
from nnmeter.lab.campaign.recipes.builder import FLOAT, INT64, NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import add, conv, conv_norm, layer_norm, linear, mul, transpose
from nnmeter.lab.campaign.recipes.tokens import (
    change_width,
    feed_forward,
    gated_feed_forward,
    hidden_width,
    language_head,
    residual,
    rms_norm,
    token_embeddings,
)

_MAX_SCORES = 3e7


def _token_sizes(b: NetworkBuilder, high: int = 1024) -> tuple[int, int, int, int]:
    """Batch, length, width and heads of a transformer whose layer fits the budget; long sequences get narrow models."""
    batch = b.rng.choices((1, 2, 4, 8, 16), (74, 8, 7, 6, 5))[0]
    length = sizes.sequence_length(b.rng)
    while True:
        for _ in range(6):
            dim, heads = sizes.model_dim(b.rng, 64, high)
            layer = batch * length * dim * (24.0 * dim + 4.0 * length)
            if layer <= 2.0 * b.budget.flops and batch * heads * length * length <= _MAX_SCORES:
                return batch, length, dim, heads
        batch, length = max(1, batch // 2), max(1, length // 2)


def encoder(b: NetworkBuilder) -> None:
    """BERT, DistilBERT, ALBERT: post-normalised layers, padding masks, separate projections."""
    batch, length, dim, heads = _token_sizes(b)
    form = replace(attention_form(b.rng), projection="separate", bias=True)
    act = gelu_erf if b.rng.random() < 0.75 else token_activation(b)
    post = b.rng.random() < 0.8
    if b.rng.random() < 0.6:
        x = token_embeddings(b, batch, length, dim, types=b.rng.random() < 0.7, norm=True)
    else:
        x = b.input((batch, length, dim))
    pick = b.rng.random()
    masks: tuple[Tensor, ...] = ()
    if pick < 0.75 and batch * length <= 4096:
        masks = (padding_mask(b, batch, length),)
    elif pick < 0.82:
        masks = (boolean_mask(b, batch, length),)
    for layer in range(2):
        if layer and b.exhausted:
            break
        if layer and b.rng.random() < 0.6:
            dim, heads = sizes.model_dim(b.rng, 64, 1024)
            x = change_width(b, x, dim)
        hidden = hidden_width(b, dim)
        x = residual(b, x, partial(self_attention, heads=heads, form=form, masks=masks), layer_norm, pre=not post)
        if b.exhausted:
            break
        x = residual(b, x, partial(feed_forward, hidden=hidden, act=act), layer_norm, pre=not post)
    if b.rng.random() < 0.35:
        language_head(b, x)


def decoder(b: NetworkBuilder) -> None:
    """GPT-2 and OPT: pre-normalised layers, causal masks, Gemm projections with a Split, tanh GELU."""
    batch, length, dim, heads = _token_sizes(b)
    as_gemm = b.rng.random() < 0.6
    form = replace(
        attention_form(b.rng), projection="fused_split" if b.rng.random() < 0.7 else "separate", as_gemm=as_gemm
    )
    act = b.rng.choices((gelu_tanh, relu, gelu_erf), (65, 15, 20))[0]
    x = (
        token_embeddings(b, batch, length, dim, types=False, norm=False)
        if b.rng.random() < 0.5
        else b.input((batch, length, dim))
    )
    mask = (causal_mask(b, length),)
    for layer in range(2):
        if layer and b.exhausted:
            break
        hidden = hidden_width(b, dim)
        x = residual(b, x, partial(self_attention, heads=heads, form=form, masks=mask), layer_norm, pre=True)
        x = residual(b, x, partial(feed_forward, hidden=hidden, act=act, as_gemm=as_gemm or None), layer_norm, pre=True)
        dim, heads = sizes.model_dim(b.rng, 64, 1024)
        if b.exhausted or b.rng.random() < 0.4:
            break
        x = change_width(b, x, dim)
    if b.rng.random() < 0.35:
        language_head(b, layer_norm(b, x))


def gated_decoder(b: NetworkBuilder) -> None:
    """LLaMA, Mistral, Qwen: RMS normalisation, rotary positions, grouped-query attention, SwiGLU, no biases."""
    batch, length, dim, heads = _token_sizes(b)
    form = replace(attention_form(b.rng), projection="separate", bias=b.rng.random() < 0.2)
    key_heads = b.rng.choice([h for h in (1, 2, 4, 8) if heads % h == 0]) if b.rng.random() < 0.35 else heads
    x = b.input((batch, length, dim))
    if b.rng.random() < 0.3:
        x = token_embeddings(b, batch, length, dim, types=False, norm=False)
    mask = (causal_mask(b, length),)
    hidden = sizes.round_to(dim * b.rng.choice((8 / 3, 4, 3.5, 2)), 32)
    x = residual(
        b,
        x,
        partial(self_attention, heads=heads, form=form, masks=mask, rotary=True, key_heads=key_heads),
        rms_norm,
        pre=True,
    )
    x = residual(b, x, partial(gated_feed_forward, hidden=hidden), rms_norm, pre=True)
    if b.rng.random() < 0.35:
        language_head(b, rms_norm(b, x))


def sequence_to_sequence(b: NetworkBuilder) -> None:
    """T5, BART, DETR and diffusion blocks: self-attention with learned biases, then attention over another sequence."""
    batch, length, dim, heads = _token_sizes(b)
    other = sizes.sequence_length(b.rng)
    form = replace(attention_form(b.rng), bias=b.rng.random() < 0.5)
    norm = rms_norm if b.rng.random() < 0.4 else layer_norm
    pre = norm is rms_norm or b.rng.random() < 0.5
    act = relu if b.rng.random() < 0.6 else token_activation(b)
    x = b.input((batch, length, dim))
    memory = b.input((batch, other, dim if b.rng.random() < 0.7 else sizes.channels(b.rng, 64, 1024)))
    masks = (position_bias(b, heads, length, length),) if b.rng.random() < 0.6 else ()
    if batch * heads * length * other > _MAX_SCORES:
        return feed_forward_only(b, x)
    x = residual(b, x, partial(self_attention, heads=heads, form=form, masks=masks), norm, pre=pre)
    x = residual(b, x, partial(cross_attention, memory=memory, heads=heads, form=form), norm, pre=pre)
    if not b.exhausted:
        hidden = hidden_width(b, dim)
        if b.rng.random() < 0.3:
            x = residual(b, x, partial(gated_feed_forward, hidden=hidden), norm, pre=pre)
        else:
            x = residual(b, x, partial(feed_forward, hidden=hidden, act=act, bias=form.bias), norm, pre=pre)
    return None


def feed_forward_only(b: NetworkBuilder, x: Tensor) -> None:
    """A stack of feed-forward layers of changing width."""
    for _ in range(3):
        if b.exhausted:
            break
        act, hidden = token_activation(b), hidden_width(b, x.shape[-1])
        x = residual(b, x, partial(feed_forward, hidden=hidden, act=act), layer_norm, pre=True)
        x = change_width(b, x, sizes.channels(b.rng, 32, 1536))


def token_layers(b: NetworkBuilder) -> None:
    """Feed-forward layers alone on (batch, tokens, width) of any size: dense samples of matrix products in context."""
    batch = b.rng.choices((1, 2, 4, 8, 32), (80, 6, 6, 4, 4))[0]
    length = b.rng.choice((1, sizes.log_int(b.rng, 1, 4096), sizes.sequence_length(b.rng), 49, 64, 196, 784))
    x = b.input((batch, length, sizes.channels(b.rng, 16, 1536)))
    feed_forward_only(b, x)


def audio(b: NetworkBuilder) -> None:
    """Whisper, wav2vec and conformers: one-dimensional convolutions, then an encoder over the frames."""
    dim, heads = sizes.model_dim(b.rng, 64, 512)
    frames = b.rng.choice(
        (400, 1000, 1500, 3000, 3000, sizes.log_int(b.rng, 50, 3200), sizes.log_int(b.rng, 500, 3200))
    )
    while frames * dim * (16.0 * dim + frames + 500.0) > 2.2 * b.budget.flops:
        frames //= 2
    act = gelu_erf if b.rng.random() < 0.7 else token_activation(b)
    bands = b.rng.choice((40, 64, 80, 80, 80, 128, 257))
    x = b.input((b.rng.choices((1, 2, 4), (88, 8, 4))[0], bands, frames))
    x = act(b, conv(b, x, dim, b.rng.choice((3, 3, 5, 10))))
    x = act(b, conv(b, x, dim, 3, 2))
    y = transpose(b, x, [0, 2, 1])
    y = add(b, y, b.weight(y.shape[1:], 0.3))
    form = replace(attention_form(b.rng), guard=False)
    if b.rng.random() < 0.8:
        y = residual(b, y, partial(self_attention, heads=heads, form=form), layer_norm, pre=True)
    if b.rng.random() < 0.25:
        z = transpose(b, layer_norm(b, y), [0, 2, 1])
        z = silu(b, conv_norm(b, z, dim, b.rng.choice((7, 15, 31)), groups=dim))
        y = add(b, transpose(b, conv(b, z, dim, 1), [0, 2, 1]), y)
    if not b.exhausted:
        hidden = hidden_width(b, dim)
        y = residual(b, y, partial(feed_forward, hidden=hidden, act=act), layer_norm, pre=True)


def adapters(b: NetworkBuilder) -> None:
    """Low-rank adapters and experts: narrow products beside wide ones, mixed by a softmax."""
    x = b.input((1, b.rng.choice((1, 16, 64, 128, 256)), sizes.channels(b.rng, 64, 1024)))
    dim = x.shape[-1]
    rank = b.rng.choice((4, 8, 16, 32, 64))
    wide = linear(b, x, dim)
    narrow = linear(b, linear(b, x, rank, bias=False), dim, bias=False)
    y = add(b, wide, mul(b, narrow, b.scalar(0.5)))
    gates = b.node("Softmax", [linear(b, y, 4, bias=False)], (*y.shape[:-1], 4), axis=-1)
    b.node_with_outputs("TopK", [gates, b.constant([2])], [(*y.shape[:-1], 2)] * 2, dtypes=[FLOAT, INT64], axis=-1)
    feed_forward_only(b, layer_norm(b, y))
