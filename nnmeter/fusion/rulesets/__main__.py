"""`python -m nnmeter.fusion.rulesets`: compile the rule sets to JSON and index them, after a change of a rule."""

from __future__ import annotations

from nnmeter.fusion.ruleset_index import write_index
from nnmeter.fusion.rulesets.compiling import compile_all

if __name__ == "__main__":
    changed = compile_all()
    write_index()
    print("\n".join(f"wrote {path}" for path in changed) or "the compiled rule sets are what the modules state")
