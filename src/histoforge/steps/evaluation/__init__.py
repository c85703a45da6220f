"""What `evaluate` computes: the arms on the test split, and the synthetic patches beside the real ones."""
