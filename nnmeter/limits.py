"""How much of a file is read before it is refused: what a model or a device pack of a stranger may cost.

Every limit is far beyond what real models and packs have (the largest of the zoo has some 2,000 operators), and low
enough that a file at all of them at once is refused or priced in bounded time and memory. `docs/security.md` has the
table, with what was measured at the limits. Limits of single tensors (rank, elements) are in `nnmeter.graph.unbound`.

Quantities, in the order in which a model is read:

1. `MAX_FILE_BYTES`: the file, weights included. `MAX_GRAPH_BYTES`: what is left without the payload of tensors.
2. `MAX_NODES`, `MAX_EDGES` (inputs, outputs and attributes of all operators), `MAX_GRAPHS` (all that are nested),
   `MAX_DEPTH` (graphs in graphs, functions in functions), `MAX_NAME` (characters), `MAX_LISTED` (elements in lists of
   attributes), `MAX_DOMAINS` (operator sets).
3. What functions and branches may grow to when they are put in the place of their calls: `MAX_EXPANDED_NODES`,
   `MAX_EXPANDED_PARTS` (operators, tensors and attributes), `MAX_EXPANDED_CHARACTERS` (of names that are made).
4. `MAX_SEQUENCE`: tensors in one sequence; `MAX_SEQUENCES`: in all sequences of a model. `MAX_OPERATIONS`: FLOPs or
   bytes of one operator with all repetitions of its body.
5. `BASE_EFFORT` and `EFFORT_PER_NODE`: steps of kernel detection, which is quadratic on graphs made for that.
6. `MAX_JSON_BYTES` and `MAX_JSON_VALUES`: one JSON file; `MAX_TREES_BYTES` and `MAX_TREES_INFLATED`: the trees of a
   pack, compressed and not. `MAX_ARCHIVE_BYTES`: a pack that comes as one file; `MAX_PACK_BYTES`: all files of a pack
   that is added.
"""

from __future__ import annotations

MAX_FILE_BYTES = 1 << 40
MAX_GRAPH_BYTES = 256 << 20
MAX_NODES = 250_000
MAX_EDGES = 2_000_000
MAX_GRAPHS = 20_000
MAX_DEPTH = 32
MAX_NAME = 65_536
MAX_LISTED = 20_000_000
MAX_DOMAINS = 256

MAX_EXPANDED_NODES = 100_000
MAX_EXPANDED_PARTS = 1_000_000
MAX_EXPANDED_CHARACTERS = 64_000_000

MAX_SEQUENCE = 10_000
MAX_SEQUENCES = 1_000_000
MAX_OPERATIONS = 10**30

BASE_EFFORT = 4_000_000
EFFORT_PER_NODE = 200

MAX_JSON_BYTES = 32 << 20
MAX_JSON_VALUES = 4_000_000
MAX_TREES_BYTES = 8 << 20
MAX_TREES_INFLATED = 32 << 20
MAX_ARCHIVE_BYTES = 16 << 20
MAX_PACK_BYTES = 64 << 20
