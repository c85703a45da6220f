"""Generators that others trained: saved pipelines of diffusers, and generators of other installed packages."""
