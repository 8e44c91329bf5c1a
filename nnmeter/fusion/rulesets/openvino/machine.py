"""Parameters of the rule set that follow from the processor."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import MachineParameter
from nnmeter.fusion.rulesets.openvino.sources import plugin

X86_WITHOUT_AMX = ("sse4.1", "avx", "avx2", "avx512", "avx512-vnni")
OTHERS = ("amx", "neon", "neon-dot", "neon-i8mm", "sve")
ONLY_OTHERS = {**dict.fromkeys(X86_WITHOUT_AMX, False), **dict.fromkeys(OTHERS, True)}

SIGNED_DATA_OF_CONVOLUTIONS = MachineParameter(
    "signed_data_of_convolutions",
    isa=ONLY_OTHERS,
    why="AMX multiplies signed by signed bytes, other x86 unsigned by signed ones: there convolutions read uint8. Arm "
    "was not looked at, and stays as the model has it.",
    source=plugin("transformations/transformation_pipeline.cpp"),
)

RESIDUALS_OF_ANOTHER_TYPE = MachineParameter(
    "residuals_of_another_type",
    isa=ONLY_OTHERS,
    why="Convolutions that AMX computes add integers to numbers as they are, those of other x86 numbers only. Arm was "
    "not looked at, and stays as with AMX.",
    source=plugin("nodes/conv.cpp"),
)

ATTENTION_OF_INTEGERS = MachineParameter(
    "attention_of_integers",
    isa={
        **dict.fromkeys(("sse4.1", "avx", "avx2", "avx512"), False),
        **dict.fromkeys(("avx512-vnni", *OTHERS), True),
    },
    why="Loops that are compiled multiply bytes with VNNI or AMX only. An AVX2 processor with AVX-VNNI can, too; most "
    "servers with AVX2 have none. Arm was not looked at, and stays as with AMX.",
    source="src/common/snippets/src/pass/mha_tokenization.cpp; "
    + plugin("transformations/transformation_pipeline.cpp"),
)

MACHINE = (SIGNED_DATA_OF_CONVOLUTIONS, RESIDUALS_OF_ANOTHER_TYPE, ATTENTION_OF_INTEGERS)
