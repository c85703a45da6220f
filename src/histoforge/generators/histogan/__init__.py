"""HistoGAN (Xue et al. 2021, "Selective synthetic augmentation with HistoGAN …", section 3.1)."""
