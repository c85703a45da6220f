"""The unified ViT cGAN, which generates and classifies (Li et al., "Unified Framework for Histopathology Image …")."""
