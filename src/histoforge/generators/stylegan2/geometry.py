"""Patch sizes that StyleGAN2 can draw: those of DCGAN, whose smallest map it doubles in the same way.

The published sizes, 4 2^n px on both sides, have a smallest map of 4x4. A larger or oblong one, such as 6x6 for 96 px,
changes only the learned constant in which the generator begins and the discriminator's last layers.
"""

from histoforge.generators.dcgan.geometry import check_size, doublings

__all__ = ["check_size", "doublings"]
