"""HistoGAN's critic of one stage (Xue et al. 2021, sections 3.1.1 and 4.2.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.geometry import Geometry
from histoforge.layers.attention import SelfAttention
from histoforge.layers.critic_norm import critic_norm
from histoforge.layers.down_block import DownBlock
from histoforge.layers.minibatch_discrimination import MinibatchDiscrimination
from histoforge.layers.spectral_norm import spectral_norm


class HistoganCritic(nn.Module):
    """Scores how real the images of one stage are.

    The critic consists of down-blocks to the base map with self-attention between them, a 3x3 convolution with spectral
    normalisation, normalisation and LeakyReLU, minibatch discrimination, and a fully connected layer.

    Deviations: A4-2, the normalisation is a setting; layer normalisation leaves out the first block, where it would
    hide the brightness of an image (generators then drew patches that were too pale). A4-3, "a spectral normalization
    layer" followed by a batch normalisation layer is applied to the 3x3 convolution, and with `sn` 'all' to every
    convolution. A4-4, the label enters only through the conditional normalisation; with `projection`, or if there is no
    normalisation, also as in Miyato and Koyama 2018. The paper does not give the position of the attention: here it
    precedes the last two down-blocks, where the map is four times the base map (12x12 for PCam).
    """

    def __init__(self, config: HistoganConfig, geometry: Geometry, stage: int, classes: int) -> None:
        super().__init__()
        downs = geometry.up_blocks + stage
        channels = [min(config.critic_channels << step, config.critic_max_channels) for step in range(downs)]
        norms = [config.critic_norm] * downs
        if config.critic_norm == "cln":
            norms[0] = "none"
        blocks = [
            DownBlock(before, after, classes, norm, sn=config.sn == "all")
            for before, after, norm in zip([3, *channels[:-1]], channels, norms, strict=True)
        ]
        self.couples_patches = config.critic_norm == "cbn"
        early = max(downs - 2, 1)
        self.early, self.late = nn.ModuleList(blocks[:early]), nn.ModuleList(blocks[early:])
        self.attention = SelfAttention(channels[early - 1])
        last = channels[-1]
        self.conv = spectral_norm(nn.Conv2d(last, last, 3, padding=1))
        self.norm = critic_norm(config.critic_norm, last, classes=1)  # "a batch normalization layer": unconditional
        features = last * geometry.base[0] * geometry.base[1]
        self.minibatch: MinibatchDiscrimination | None = None
        if config.minibatch_discrimination:
            self.minibatch = MinibatchDiscrimination(features, config.minibatch_kernels, config.minibatch_dims)
        self.fc = nn.Linear(features + (config.minibatch_kernels if self.minibatch else 0), 1)
        projects = config.projection or config.critic_norm == "none"
        self.projection = nn.Embedding(classes, last) if projects else None

    def forward(self, images: Tensor, labels: Tensor, batches: int = 1, detach_others: bool = False) -> Tensor:
        """Score images.

        Args:
            images: [B, 3, H, W] in [-1, 1].
            labels: int64 [B].
            batches: number of equal batches stacked in `images`; minibatch discrimination keeps them apart.
            detach_others: minibatch discrimination passes no gradient from an image's score to other images.

        Returns:
            float32 [B].
        """
        x = images
        for block in self.early:
            x = block(x, labels)
        x = self.attention(x)
        for block in self.late:
            x = block(x, labels)
        x = F.leaky_relu(self.norm(self.conv(x), torch.zeros_like(labels)), 0.2)
        features = x.flatten(1)
        if self.minibatch is not None:
            features = torch.cat([self.minibatch(batch, detach_others) for batch in features.chunk(batches)])
        with torch.autocast(x.device.type, enabled=False):
            scores = self.fc(features.float()).squeeze(1)
            if self.projection is not None:
                scores = scores + (self.projection(labels) * x.float().mean(dim=(2, 3))).sum(1)
        return scores
