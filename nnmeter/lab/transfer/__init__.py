"""From a device pack to one of a near device, with few measurements."""
