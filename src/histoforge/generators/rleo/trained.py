"""A trained RL-EO: its generator is a DCGAN's, and the guide takes no part in drawing."""

from histoforge.generators.dcgan.trained import load

__all__ = ["load"]
