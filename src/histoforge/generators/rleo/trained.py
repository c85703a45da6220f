"""A trained RL-EO: its generator is a DCGAN's, and drawing does not involve the guide."""

from histoforge.generators.dcgan.trained import load

__all__ = ["load"]
