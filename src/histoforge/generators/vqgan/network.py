"""Both networks of VQGAN that a generator keeps."""

from torch import nn

from histoforge.generators.vqgan.autoencoder import CodebookAutoencoder
from histoforge.generators.vqgan.config import VqganConfig
from histoforge.generators.vqgan.geometry import check_size, code_grid
from histoforge.generators.vqgan.prior import CodePrior


class VqganNetwork(nn.Module):
    """The autoencoder of the first stage, and the transformer of the second.

    Attributes:
        grid: rows and columns of a patch's codes.
    """

    def __init__(self, config: VqganConfig, patch_size: tuple[int, int], classes: int) -> None:
        super().__init__()
        check_size(config, patch_size)
        self.grid = code_grid(config, patch_size)
        self.autoencoder = CodebookAutoencoder(config)
        self.prior = CodePrior(config, self.grid[0] * self.grid[1], classes)
