"""Parts of benchmarks/public_kept_aside.py: networks, devices and transformers that were kept aside."""
