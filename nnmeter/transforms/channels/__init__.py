"""Another number of channels in a layer, with everything that depends on them."""
