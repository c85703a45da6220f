"""The encoder of a vision transformer (Dosovitskiy et al. 2021, section 3.1)."""

from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.layers.token_attention import Grid, TokenAttention

MLP_RATIO = 4


class TransformerEncoder(nn.Module):
    """Self-attention and a GELU network, each after a layer normalisation and with a residual connection (eqs. 2, 3).

    Only layer normalisation occurs, so that no token depends on other images (A2-12), as a gradient penalty requires.

    Args:
        channels: length of a token.
        heads: number of attention heads.
        grid, window: see `TokenAttention`.
    """

    def __init__(self, channels: int, heads: int, grid: Grid | None = None, window: Grid | None = None) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = TokenAttention(channels, heads, grid, window)
        self.mlp_norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, MLP_RATIO * channels)
        self.contract = nn.Linear(MLP_RATIO * channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, N, C] to [B, N, C]."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        return tokens + self.contract(F.gelu(self.expand(self.mlp_norm(tokens))))


def initialise(layer: nn.Module) -> None:
    """Give linear layers Xavier's weights, and no bias, as in the code of Dosovitskiy et al.

    The usual standard deviation of 0.02 suits several hundred channels. With tens of them, an encoder that starts with
    it hardly changes its tokens.
    """
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
