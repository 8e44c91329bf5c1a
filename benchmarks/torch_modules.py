"""Modules of PyTorch against the files that torch exports of them: one call each, and how far the two are apart.

Needs `pip install 'nnmeter[torch]' timm transformers`:

    python benchmarks/torch_modules.py --device epyc-genoa-onnxruntime1.32-1t

Modules: a ResNet, a vision transformer, a U-Net, an LSTM, and a causal language model that decodes one token with a
cache of 128. Each is predicted from the module, from a copy without weights (`meta`), and from the file that
`torch.onnx.export(dynamo=True)` writes. The last column says by how much the first and the last differ.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

import nnmeter

Case = tuple[str, nn.Module, Any]


class UNet(nn.Module):
    """Three levels of two convolutions, with the maps of each level joined on the way up."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.down1, self.down2, self.middle = (
            _double(3, width),
            _double(width, 2 * width),
            _double(2 * width, 4 * width),
        )
        self.up2, self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2), nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.join2, self.join1 = _double(4 * width, 2 * width), _double(2 * width, width)
        self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of each pixel."""
        first = self.down1(x)
        second = self.down2(self.pool(first))
        third = self.middle(self.pool(second))
        second = self.join2(torch.cat([self.up2(third), second], 1))
        return self.head(self.join1(torch.cat([self.up1(second), first], 1)))


class Tagger(nn.Module):
    """Words to tags with an LSTM of two layers in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10_000, 128)
        self.lstm = nn.LSTM(128, 256, num_layers=2, bidirectional=True, batch_first=True)
        self.tags = nn.Linear(512, 40)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits of each word."""
        return self.tags(self.lstm(self.words(ids))[0])


def _double(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def resnet() -> Case:
    """ResNet-50 of timm."""
    import timm

    return "ResNet-50", timm.create_model("resnet50"), torch.zeros(1, 3, 224, 224)


def vit() -> Case:
    """ViT-S/16 of timm."""
    import timm

    return "ViT-S/16", timm.create_model("vit_small_patch16_224"), torch.zeros(1, 3, 224, 224)


def unet() -> Case:
    """A small U-Net."""
    return "U-Net", UNet(), torch.zeros(1, 3, 128, 128)


def lstm() -> Case:
    """A tagger of 50 words."""
    return "LSTM tagger", Tagger(), torch.zeros(1, 50, dtype=torch.int64)


def causal_lm() -> Case:
    """A Llama of 4 layers that decodes a token with a cache."""
    from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=8000, hidden_size=256, intermediate_size=704, num_hidden_layers=4,
                         num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=512)  # fmt: skip
    cache = DynamicCache(config=config)
    for layer in range(config.num_hidden_layers):
        cache.update(torch.zeros(1, 4, 128, 32), torch.zeros(1, 4, 128, 32), layer)
    ids, mask = torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 129, dtype=torch.int64)
    inputs = {"input_ids": ids, "attention_mask": mask, "past_key_values": cache, "use_cache": True}
    return "Llama, cache of 128", LlamaForCausalLM(config), inputs


def _export(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], path: Path) -> None:
    """Write the file that a person would; torch 2.13 refuses transformers' caches without the constants it forgets."""
    from nnmeter.formats.torch_models import kept_constants

    with torch.no_grad():
        try:
            torch.onnx.export(module, args, path, kwargs=kwargs, dynamo=True, verbose=False)
        except torch.onnx.OnnxExporterError:
            exported = torch.export.export(module, args, kwargs, strict=False)
            with kept_constants(exported):
                torch.onnx.export(exported, f=path, dynamo=True, verbose=False)


CASES: dict[str, Callable[[], Case]] = {
    "resnet": resnet, "vit": vit, "unet": unet, "lstm": lstm, "lm": causal_lm,
}  # fmt: skip


def rows(device: str, chosen: list[str], tree: bool) -> Iterator[str]:
    """A line for each module."""
    predictor = nnmeter.load_predictor(device)
    for key in chosen:
        name, module, example = CASES[key]()
        module.eval()
        began = time.perf_counter()
        found = nnmeter.predict(module, predictor, example_inputs=example)
        seconds = time.perf_counter() - began
        if tree:
            yield found.tree(depth=2) + "\n"
        bare = "-"
        if key != "lm":
            empty = copy.deepcopy(module).to("meta")
            bare = f"{nnmeter.predict(empty, predictor, example_inputs=example.to('meta')).latency_ms:.4g}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            args, kwargs = ((), example) if isinstance(example, dict) else ((example,), {})
            _export(module, args, kwargs, path)
            of_file = nnmeter.predict(path, predictor)
        off = 100 * (found.latency_ms / of_file.latency_ms - 1)
        counted, own = found.total().parameters, sum(p.numel() for p in module.parameters())
        yield (
            f"{name:20} {found.latency_ms:9.4g} {bare:>9} {of_file.latency_ms:9.4g} {off:+8.3f} %"
            f" {counted:12,} {own:12,} {seconds:6.1f} s"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--device", default="epyc-genoa-onnxruntime1.32-1t")
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--tree", action="store_true", help="print the time by module, too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'module':20} {'module ms':>9} {'meta ms':>9} {'file ms':>9} {'apart':>10} "
          f"{'parameters':>12} {'of module':>12} {'took':>8}")  # fmt: skip
    for line in rows(options.device, options.case or list(CASES), options.tree):
        print(line, flush=True)


if __name__ == "__main__":
    main()
