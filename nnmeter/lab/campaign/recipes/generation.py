"""Small language models that generate: a few new tokens, keys and values of the old ones as inputs and outputs.

1. New keys and values are concatenated to the past ones, which are inputs, and feed attention. Most
   steps have one new token.
2. Heads of keys are fewer than those of queries in some networks and repeated; positions are rotary or learned.
3. The last layer's result goes to a vocabulary in half of the networks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from nnmeter.lab.campaign.recipes import sizes
from nnmeter.lab.campaign.recipes.activations import gelu_tanh, relu
from nnmeter.lab.campaign.recipes.attention import (
    AttentionForm,
    attend,
    attention_form,
    from_heads,
    repeat_heads,
    rotate,
    to_heads,
)
from nnmeter.lab.campaign.recipes.builder import NetworkBuilder, Tensor
from nnmeter.lab.campaign.recipes.operators import concat, layer_norm, linear
from nnmeter.lab.campaign.recipes.tokens import (
    feed_forward,
    gated_feed_forward,
    language_head,
    residual,
    rms_norm,
    token_embeddings,
)


def cached_decoder(b: NetworkBuilder) -> None:
    """Some layers of a small decoder with a cache."""
    dim, heads = sizes.model_dim(b.rng, 64, 1024)
    batch = b.rng.choices((1, 2, 4, 8), (80, 8, 6, 6))[0]
    new = b.rng.choices((1, 2, 8, 32, 128), (70, 4, 8, 10, 8))[0]
    past = b.rng.choice((7, 15, 16, 31, 63, 64, 127, 128, 255, 256, 512, 1023))
    gated = b.rng.random() < 0.6
    form = replace(attention_form(b.rng), projection="separate", bias=not gated)
    norm = rms_norm if gated else layer_norm
    key_heads = (
        b.rng.choice([h for h in (1, 2, 3, 4, 8) if heads % h == 0]) if gated and b.rng.random() < 0.5 else heads
    )
    x = (
        token_embeddings(b, batch, new, dim, types=False, norm=False)
        if b.rng.random() < 0.4
        else b.input((batch, new, dim))
    )
    attention = partial(_attention, heads=heads, key_heads=key_heads, past=past, form=form, rotary=gated)
    for _ in range(b.rng.choice((1, 2, 4))):
        x = residual(b, x, attention, norm, pre=True)
        if b.exhausted:
            break
        if gated:
            hidden = sizes.round_to(dim * b.rng.choice((8 / 3, 4, 3, 1.5)), 32)
            x = residual(b, x, partial(gated_feed_forward, hidden=hidden), norm, pre=True)
        else:
            act = gelu_tanh if b.rng.random() < 0.7 else relu
            x = residual(b, x, partial(feed_forward, hidden=4 * dim, act=act), norm, pre=True)
        if b.exhausted:
            break
    if b.rng.random() < 0.5:
        language_head(b, norm(b, x))


def _attention(
    b: NetworkBuilder, x: Tensor, heads: int, key_heads: int, past: int, form: AttentionForm, rotary: bool
) -> Tensor:
    n, _, c = x.shape
    d = c // heads
    q = to_heads(b, linear(b, x, c, bias=form.bias), heads)
    k, v = (to_heads(b, linear(b, x, key_heads * d, bias=form.bias), key_heads) for _ in range(2))
    if rotary:
        q, k = rotate(b, q), rotate(b, k)
    k, v = (concat(b, [b.input((n, key_heads, past, d)), new], 2) for new in (k, v))
    if key_heads != heads:
        k, v = repeat_heads(b, k, heads), repeat_heads(b, v, heads)
    return linear(b, from_heads(b, attend(b, q, k, v, form)), c, bias=form.bias)
