"""Denoising diffusion (Ho et al. 2020) with DDIM sampling (Song et al. 2021), a baseline of Mustafa 2024."""
