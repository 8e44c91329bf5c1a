"""Parameters of the rule set that follow from the processor."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import MachineParameter
from nnmeter.fusion.rulesets.onnxruntime.sources import VERSION

X86_256 = ("sse4.1", "avx", "avx2")
X86_512 = ("avx512", "avx512-vnni", "amx")
ARM = ("neon", "neon-dot", "neon-i8mm", "sve")

BLOCK = MachineParameter(
    "block",
    isa={**dict.fromkeys(X86_256, 8), **dict.fromkeys(X86_512, 16), **dict.fromkeys(ARM, 1)},
    why="A block of channels fills the vector registers: 16 with AVX-512, else 8. Wheels for Arm are built without "
    "blocked kernels.",
    source="onnxruntime/core/mlas/lib/platform.cpp (NchwcBlockSize; MLAS_USE_ARM_NEON_NCHWC), "
    f"tools/ci_build/github/linux/build_linux_python_package.sh, {VERSION}",
)

SIGNED_ACTIVATIONS = MachineParameter(
    "signed_activations",
    isa={**dict.fromkeys((*X86_256, *X86_512), False), **dict.fromkeys(ARM, True)},
    why="x86 multiplies unsigned by signed bytes, so signed activations are made unsigned there; Arm multiplies signed "
    "ones as they are.",
    source="onnxruntime/core/optimizer/qdq_transformer/selectors_actions/qdq_selector_action_transformer.h "
    f"(QDQIsInt8Allowed), {VERSION}",
)

MACHINE = (BLOCK, SIGNED_ACTIVATIONS)
