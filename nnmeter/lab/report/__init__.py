"""Reports of what the lab finds."""
