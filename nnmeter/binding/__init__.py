"""From a model with free dimensions to a graph with static shapes: dimensions, inference, values, assumptions."""
