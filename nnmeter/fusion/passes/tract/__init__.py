"""Passes of the rule set for tract."""
