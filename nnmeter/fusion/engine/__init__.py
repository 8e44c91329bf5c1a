"""What all fusion rules run on: the graph under rewriting, patterns, expressions, rules as data."""
