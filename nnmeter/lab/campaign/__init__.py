"""The profiling campaign: random networks of real blocks, planned, measured and kept."""
