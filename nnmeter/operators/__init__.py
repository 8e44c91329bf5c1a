"""What every operator is: family, FLOPs, bytes, attributes that matter, and the shapes of its outputs."""
