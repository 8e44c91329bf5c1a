"""What differs between two predictions: kernels aligned, milliseconds attributed, and how sure the difference is."""
