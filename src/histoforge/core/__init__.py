"""What every room needs and none owns: errors, seeds, digests, atomic files, progress, settings."""
