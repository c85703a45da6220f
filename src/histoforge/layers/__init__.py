"""Layers that the networks of several methods share, one concept per file."""
