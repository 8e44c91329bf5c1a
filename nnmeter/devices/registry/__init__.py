"""Packs that others share: as archives and folders, and in registries that a team serves from a folder or the web."""
