"""The encoder of a vision transformer: its equations, and its first weights."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from histoforge.layers.transformer_encoder import TransformerEncoder, initialise


def test_is_that_of_torch():
    encoder = TransformerEncoder(12, 3).apply(initialise)
    reference = torch.nn.TransformerEncoderLayer(12, 3, 48, 0.0, F.gelu, batch_first=True, norm_first=True)
    attention = reference.self_attn
    pairs = [
        (attention.in_proj_weight, encoder.attention.qkv.weight),
        (attention.out_proj.weight, encoder.attention.out.weight),
        (reference.linear1.weight, encoder.expand.weight),
        (reference.linear2.weight, encoder.contract.weight),
    ]
    for target, source in pairs:
        target.data.copy_(source)
    for bias in (attention.in_proj_bias, attention.out_proj.bias, reference.linear1.bias, reference.linear2.bias):
        torch.nn.init.zeros_(bias)
    tokens = torch.randn(2, 5, 12)
    assert_close(encoder(tokens), reference(tokens))


def test_narrow_encoders_start_by_changing_their_tokens_as_much_as_wide_ones():
    torch.manual_seed(0)
    changes = []
    for channels in (16, 256):
        tokens = torch.randn(8, 16, channels)
        changes.append((TransformerEncoder(channels, 1).apply(initialise)(tokens) - tokens).std().item())
    assert changes[0] == pytest.approx(changes[1], rel=0.4)
