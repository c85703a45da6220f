"""DCGAN (Radford et al. 2016) and related methods: two networks, one training loop, and the losses of five papers."""
