"""The transformer that draws the codes of a patch one after the other (section 3.2)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.generators.vqgan.config import VqganConfig

MLP_RATIO = 4
STD = 0.02
"""Standard deviation of initial weights (Radford et al. 2018, section 4.1)."""


class CodePrior(nn.Module):
    """A GPT-2 over the codes of a patch, row by row, that follow a token of its class.

    It models p(s | c) as the product of p(s_i | s_<i, c), eq. 9.

    Args:
        config: the settings.
        places: codes of a patch.
        classes: number of classes.
    """

    def __init__(self, config: VqganConfig, places: int, classes: int) -> None:
        super().__init__()
        channels = config.prior_channels
        self.places = places
        self.class_embedding = nn.Embedding(classes, channels)
        self.code_embedding = nn.Embedding(config.codebook_size, channels)
        self.position = nn.Parameter(torch.zeros(places, channels))
        self.dropout = nn.Dropout(config.prior_dropout)
        self.blocks = nn.ModuleList(
            _Block(channels, config.prior_heads, config.prior_dropout) for _ in range(config.prior_layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, config.codebook_size, bias=False)
        self.apply(_initialise)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Return the logits of each code given its predecessors, float32 [B, places, codes].

        Args:
            codes: int64 [B, places].
            labels: int64 [B].
        """
        tokens = torch.cat([self.class_embedding(labels)[:, None], self.code_embedding(codes[:, :-1])], dim=1)
        return self._logits(self.dropout(tokens + self.position), [None] * len(self.blocks))

    def draw(self, labels: Tensor, uniform: Tensor, temperature: float = 1.0, top_k: int = 0) -> Tensor:
        """Draw codes of the classes `labels`, int64 [B]: int64 [B, places].

        Keys and values of earlier tokens are kept, so that each new code passes through the network once.

        Args:
            labels: on the network's device.
            uniform: numbers in [0, 1) that decide the codes, [B, places].
            temperature: divides the logits.
            top_k: number of likeliest codes to choose from; 0 for all.
        """
        caches = [KeyValueCache(self.places) for _ in self.blocks]
        codes = torch.empty(len(labels), self.places, dtype=torch.int64, device=labels.device)
        token = self.class_embedding(labels)
        for place in range(self.places):
            logits = self._logits((token + self.position[place])[:, None], caches)[:, 0]
            codes[:, place] = choose(logits / temperature, uniform[:, place], top_k)
            token = self.code_embedding(codes[:, place])
        return codes

    def _logits(self, tokens: Tensor, caches: "Sequence[KeyValueCache | None]") -> Tensor:
        for block, cache in zip(self.blocks, caches, strict=True):
            tokens = block(tokens, cache)
        logits: Tensor = self.head(self.norm(tokens))
        return logits.float()


def choose(logits: Tensor, uniform: Tensor, top_k: int = 0) -> Tensor:
    """Choose a code by its probability, int64 [B], from logits [B, codes] and uniform numbers in [0, 1), [B].

    Args:
        top_k: number of likeliest codes to choose from; 0 for all.
    """
    kept = min(top_k or logits.shape[1], logits.shape[1])
    largest, codes = logits.topk(kept, dim=1)
    cumulated = largest.softmax(dim=1).cumsum(dim=1)
    chosen = (cumulated <= uniform[:, None] * cumulated[:, -1:]).sum(dim=1).clamp(max=kept - 1)
    return codes.gather(1, chosen[:, None])[:, 0]


class KeyValueCache:
    """Keys and values of the tokens that a layer has processed, at most `length`."""

    def __init__(self, length: int) -> None:
        self._length, self._used = length, 0
        self._stored: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values [B, heads, n, d], and return all of them."""
        if self._stored is None:
            batch, heads, _, width = keys.shape
            self._stored = keys.new_empty(2, batch, heads, self._length, width)
        end = self._used + keys.shape[2]
        self._stored[:, :, :, self._used : end] = torch.stack([keys, values])
        self._used = end
        cached = self._stored[:, :, :, :end]
        return cached[0], cached[1]


class _Block(nn.Module):
    """Causal self-attention and a GELU network, each after a layer normalisation and with a residual connection."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, MLP_RATIO * channels)
        self.contract = nn.Linear(MLP_RATIO * channels, channels)

    def forward(self, tokens: Tensor, cache: KeyValueCache | None) -> Tensor:
        """Map tokens [B, N, C] to [B, N, C]; with a cache, they are one token that follows those in it."""
        tokens = tokens + self._dropped(self._attended(self.attention_norm(tokens), cache))
        return tokens + self._dropped(self.contract(F.gelu(self.expand(self.mlp_norm(tokens)))))

    def _attended(self, tokens: Tensor, cache: KeyValueCache | None) -> Tensor:
        query, keys, values = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if cache is not None:
            keys, values = cache.append(keys, values)
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, keys, values, dropout_p=dropout, is_causal=cache is None)
        projected: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return projected

    def _dropped(self, tokens: Tensor) -> Tensor:
        return F.dropout(tokens, self.dropout, self.training)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear | nn.Embedding):
        nn.init.normal_(layer.weight, 0, STD)
    if isinstance(layer, nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
