"""Patch classifiers: backbones with Monte Carlo dropout, their training, and arms on disk."""
