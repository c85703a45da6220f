"""Code that every package shares: errors, seeds, digests, atomic files, progress, settings."""
