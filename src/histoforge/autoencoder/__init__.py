"""The autoencoder of latent diffusion (Rombach et al. 2022), and the latents that it makes once for all trainings."""
