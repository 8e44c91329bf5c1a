"""How good a device pack is: predictions against measurements, by models, families and kernels."""
