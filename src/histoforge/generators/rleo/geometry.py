"""Patch sizes that RL-EO can draw: those of DCGAN."""

from histoforge.generators.dcgan.geometry import check_size

__all__ = ["check_size"]
