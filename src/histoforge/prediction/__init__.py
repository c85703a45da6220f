"""Predictions of a trained classifier on whole slides: probabilities of patches, maps, and tables."""
