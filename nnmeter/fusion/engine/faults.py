"""What engine and passes raise where a rule set is wrong; the loader adds the file, the detector the pass."""


class RuleFault(Exception):
    """A rule set says something that cannot be: in itself, or of the graph that it is applied to."""


class ExpressionFault(RuleFault):
    """An expression that is malformed, or whose operands on a graph are not of the kind that its function takes."""
