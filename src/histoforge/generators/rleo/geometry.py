"""Which patch sizes RL-EO can make: those of DCGAN."""

from histoforge.generators.dcgan.geometry import check_size

__all__ = ["check_size"]
