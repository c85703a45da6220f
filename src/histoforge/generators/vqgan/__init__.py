"""VQGAN (Esser et al. 2021, "Taming transformers for high-resolution image synthesis")."""
