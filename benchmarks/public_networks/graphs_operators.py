"""PyTorch's operators as those of ONNX: one rule an operator, by its name. See graphs_rules.py."""

from __future__ import annotations

from graphs_elements import ELEMENTS
from graphs_layers import LAYERS
from graphs_parts import PARTS
from graphs_products import PRODUCTS
from graphs_reductions import REDUCTIONS
from graphs_rules import Rule
from graphs_shapes import SHAPES

OPERATORS: dict[str, Rule] = {**LAYERS, **PRODUCTS, **ELEMENTS, **REDUCTIONS, **SHAPES, **PARTS}
