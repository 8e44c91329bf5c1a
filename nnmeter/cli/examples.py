"""How each verb is used: the examples at the end of `nnmeter VERB --help`."""

from __future__ import annotations

# Verb -> commands as a user gives them.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "predict": (
        "nnmeter predict model.onnx",
        "nnmeter predict models/ --device 'epyc*,xeon*' --sort time --top 5",
        "nnmeter predict model.onnx --dim batch=1,8 --max-ms 40 --probability 0.9",
    ),
    "compare": (
        "nnmeter compare before.onnx after.onnx --format md",
        "nnmeter compare model.onnx --dim batch=1,8",
        "nnmeter compare saved.json model.onnx --by module",
    ),
    "check": (
        "nnmeter check",
        "nnmeter check budgets/server.toml --junit nnmeter.xml --summary",
        "nnmeter check --update",
    ),
    "what-if": (
        "nnmeter what-if model.onnx --quantize qdq",
        "nnmeter what-if model.onnx --channels conv1=48 --activation silu=relu --batch 8 --save changed.onnx",
        "nnmeter what-if model.onnx --repeat layer3.1=4 --device all",
    ),
    "sweep": (
        "nnmeter sweep model.onnx --over batch=1:32:*2",
        "nnmeter sweep model.onnx --over resolution=128:256:32 --over batch=1,8 --format svg --output sweep.svg",
    ),
    "advise": ("nnmeter advise model.onnx", "nnmeter advise model.onnx --top 20 --format json"),
    "prune": (
        "nnmeter prune model.onnx --budget 60%",
        "nnmeter prune model.onnx --budget 10ms --probability 0.9 --sensitivity sensitivity.json --save pruned.onnx",
        "nnmeter prune model.onnx --ratio layer3.0.conv1=0.3 --ratio layer3.1.conv1=0.5",
    ),
    "memory": ("nnmeter memory model.onnx", "nnmeter memory models/ --dim batch=1,8 --max-mib 512"),
    "sparsity": (
        "nnmeter sparsity pruned.onnx --read-weights",
        "nnmeter sparsity model.onnx --zeros '*conv*=channels:0.5' --device all",
    ),
    "report": (
        "nnmeter report model.onnx --html page.html",
        "nnmeter report model.onnx --device 'epyc*,xeon*' --baseline before.json --html page.html",
    ),
    "kernels": (
        "nnmeter kernels model.onnx --device epyc-genoa-onnxruntime1.32-1t",
        "nnmeter kernels model.onnx --rule 'gelu*'",
    ),
    "devices": (
        "nnmeter devices",
        "nnmeter devices --search 'pixel 7'",
        "nnmeter devices show epyc-genoa-onnxruntime1.32-1t",
        "nnmeter devices export epyc-genoa-onnxruntime1.32-1t --to registry",
        "nnmeter devices add https://packs.example.org/registry 'epyc*'",
        "nnmeter devices update --dry-run",
    ),
    "setup": ("nnmeter setup", "nnmeter setup --budget 5m --threads 2"),
    "measure": ("nnmeter measure models/ --out models.parquet",),
    "profile": (
        "nnmeter profile --budget 20m --out campaign",
        "nnmeter profile --cluster tcp://scheduler:8786 --budget 20m --out campaign",
    ),
    "kit": (
        "nnmeter kit --runtime onnxruntime --budget 20m --out kit",
        "nnmeter kit --runtime onnxruntime --after measured.parquet --out kit2",
    ),
    "jobs": (
        "nnmeter jobs slurm --shards 8 --folder /shared/shards --out profile.sbatch",
        "nnmeter jobs kubernetes --shards 8 --folder /shards --volume shards --image nnmeter:1 --out profile.yaml",
    ),
    "import": (
        "nnmeter import profile profile.json optimized.onnx --here --out measured.parquet",
        "nnmeter import profile kit/results --out measured.parquet --device my-phone",
        "nnmeter import nn-meter-26k DATASET --out measurements --device 'adreno*'",
    ),
    "train": ("nnmeter train campaign --out my-cpu --id my-cpu",),
    "evaluate": ("nnmeter evaluate my-cpu --measurements models.parquet --models models/",),
    "fusion": ("nnmeter fusion --out rules.json --budget 5m",),
    "calibrate": ("nnmeter calibrate my-cpu --measurements models.parquet --out near-cpu",),
}


def epilog_of(verb: str) -> str:
    """The end of a verb's help, laid out for click, which keeps the lines behind a backspace; "" without examples."""
    lines = "\n".join(f"  {command}" for command in EXAMPLES.get(verb, ()))
    return f"\b\nExamples:\n{lines}" if lines else ""
