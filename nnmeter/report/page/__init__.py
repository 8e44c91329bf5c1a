"""The page: one HTML file about predictions, which opens without a network."""
