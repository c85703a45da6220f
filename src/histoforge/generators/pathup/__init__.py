"""PathUp: latent diffusion of two spatial levels of tissue, aligned by class and level."""
