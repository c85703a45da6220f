"""What `publish_model` is made of: the challenger and its results, its model card, and the paired test."""
