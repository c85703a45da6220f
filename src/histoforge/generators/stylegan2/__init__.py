"""StyleGAN2 (Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN")."""
