"""A tiny PathUp generator with random weights: drawing needs windows, not good ones."""

import torch

from histoforge.autoencoder.architecture import Architecture
from histoforge.autoencoder.network import Autoencoder
from histoforge.generators.pathup.config import PathupConfig
from histoforge.generators.pathup.network import PathupNetwork
from histoforge.generators.pathup.trained import AUTOENCODER, TrainedPathup
from histoforge.training.model_files import ModelInfo, save_model

ARCHITECTURE = Architecture(
    block_out_channels=(4, 4, 4), latent_channels=3, norm_num_groups=2, mid_block_add_attention=False
)
SETTINGS = {"unet_channels": 8, "levels": 2, "level_blocks": 1, "precision": "float32", "sampling_steps": 2}
WINDOW_PX, FACTOR = 32, 4
STAIN = (0.2, -0.5, 0.2)
"""The colour of all images, that of tissue, in [-1, 1]."""


def untrained_pathup(classes=("benign", "tumour"), mpp=0.5, **values):
    """Return a generator of 32 px windows, whose latents have 8 px."""
    torch.manual_seed(0)
    config = PathupConfig.make({**SETTINGS, **values})
    info = ModelInfo(
        kind="generator",
        method="pathup",
        config={**config.model_dump(), "autoencoder": ARCHITECTURE.model_dump()},
        classes=list(classes),
        patch_size=(WINDOW_PX, WINDOW_PX),
        mpp=mpp,
    )
    network = PathupNetwork(config, len(classes), ARCHITECTURE.latent_channels, (8, 8)).eval()
    autoencoder = Autoencoder(ARCHITECTURE).eval()
    with torch.no_grad():
        autoencoder.vae.decoder.conv_out.bias.copy_(torch.tensor(STAIN))
    return TrainedPathup(info, config, network, autoencoder, torch.device("cpu"))


def save_pathup(path, **values):
    """Save an untrained generator; return its description."""
    model = untrained_pathup(**values)
    coding = {f"{AUTOENCODER}{name}": weights for name, weights in model.autoencoder.state_dict().items()}
    return save_model(path, model.info, {**model.network.state_dict(), **coding})
