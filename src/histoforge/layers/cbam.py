"""The convolutional block attention module (Woo et al. 2018, CBAM): a gate per channel, then a gate per position."""

import torch
from torch import Tensor, nn

REDUCTION = 16
KERNEL_SIZE = 7


class CBAM(nn.Module):
    """Scale each channel, then each position of a feature map by a factor between 0 and 1.

    M_c = sigmoid(MLP(avg F) + MLP(max F))            eq. 2, pooled over all positions
    M_s = sigmoid(conv_7x7[max F', mean F'])          eq. 3, pooled over all channels of F' = M_c F
    y   = M_s F'                                      eq. 1

    Deviations from the equations, as in the authors' code, by whose parameter count the paper's networks are checked:
    the layers of the MLP have biases, the maximum comes first, and a batch normalisation follows the convolution. Its
    scale starts at zero, so that all positions start with a factor of one half.
    """

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        """Build the module with random weights.

        Args:
            channels: number of channels of the feature map.
            reduction: factor by which the hidden layer of the MLP is smaller (r, Section 3).
        """
        super().__init__()
        hidden = max(1, channels // reduction)
        squeeze, excite = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.mlp = nn.Sequential(squeeze, nn.ReLU(), excite)
        self.conv = nn.Conv2d(2, 1, KERNEL_SIZE, padding=KERNEL_SIZE // 2, bias=False)
        self.norm = nn.BatchNorm2d(1, momentum=0.01)
        nn.init.zeros_(squeeze.bias)
        nn.init.zeros_(excite.bias)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both gates to [B, C, H, W], keeping the shape."""
        channel_logits = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
        x = x * torch.sigmoid(channel_logits)[:, :, None, None].to(x.dtype)
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.norm(self.conv(pooled))).to(x.dtype)
