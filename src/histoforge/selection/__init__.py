"""Selection of synthetic patches to train on: counts, scores under Monte Carlo dropout, and rules."""
