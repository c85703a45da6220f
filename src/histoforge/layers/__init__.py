"""The pieces that networks of several methods share, one concept a file."""
