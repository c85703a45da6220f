"""The computations of `evaluate`: the arms on the test split, and synthetic patches compared with real ones."""
