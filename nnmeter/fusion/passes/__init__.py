"""Passes that patterns cannot state, by the runtime that does what they do."""
