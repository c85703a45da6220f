"""RL-EO: a DCGAN whose discriminator is rewarded by a siamese guide (Mustafa 2024, section III.C)."""
