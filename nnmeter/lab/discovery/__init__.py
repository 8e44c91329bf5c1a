"""Finding a device's fusion rules by experiment: from timings alone, and from the runtime's own executed graph.

`catalogue` says which operators are tried together, `models` makes the models, `decision` turns times into verdicts,
`counting` counts kernels, `campaign` measures, `findings` compares the sources, `ruleset` writes the rules.
"""
