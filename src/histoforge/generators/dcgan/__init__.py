"""DCGAN (Radford et al. 2016) and its kin: one pair of networks and one loop, with the losses of five papers."""
