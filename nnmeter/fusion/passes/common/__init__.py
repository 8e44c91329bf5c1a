"""Passes that several runtimes share."""
