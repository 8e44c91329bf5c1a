"""Published latencies of known networks: one table layout for all sources, and the networks that it names."""
