"""The parts of `publish_model`: the challenger and its results, its model card, and the paired test."""
