"""Attention over tokens: torch's own layer as reference, windows, and second derivatives."""

import pytest
import torch
from torch.testing import assert_close

from histoforge.layers import token_attention
from histoforge.layers.class_projection import ClassProjection
from histoforge.layers.token_attention import TokenAttention, largest_window, twice_differentiable
from histoforge.layers.transformer_encoder import TransformerEncoder


def layer(**arguments):
    torch.manual_seed(0)
    return TokenAttention(8, 2, **arguments)


def test_equals_torchs_multi_head_attention():
    attention, tokens = layer(), torch.randn(3, 5, 8)
    reference = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    reference.in_proj_weight.data, reference.in_proj_bias.data = attention.qkv.weight.data, attention.qkv.bias.data
    reference.out_proj.load_state_dict(attention.out.state_dict())
    assert_close(attention(tokens), reference(tokens, tokens, tokens, need_weights=False)[0])


@pytest.mark.parametrize("window", [(2, 2), (4, 3)])
def test_windows_attend_within_themselves(window):
    (height, width), grid = window, (4, 6)
    attention, tokens = layer(grid=grid, window=window), torch.randn(2, 24, 8)
    whole = layer()
    expected = torch.empty_like(tokens.unflatten(1, grid))
    for top in range(0, 4, height):
        for left in range(0, 6, width):
            rows, columns = slice(top, top + height), slice(left, left + width)
            inside = tokens.unflatten(1, grid)[:, rows, columns].flatten(1, 2)
            expected[:, rows, columns] = whole(inside).unflatten(1, window)
    assert_close(attention(tokens), expected.flatten(1, 2))


def test_a_window_as_large_as_the_map_is_full_attention():
    tokens = torch.randn(2, 24, 8)
    assert_close(layer(grid=(4, 6), window=(4, 6))(tokens), layer()(tokens))


@pytest.mark.parametrize(
    ("side", "limit", "window"), [(32, 32, 32), (64, 16, 16), (48, 32, 24), (96, 16, 16), (7, 4, 1)]
)
def test_the_window_is_the_largest_divisor(side, limit, window):
    assert largest_window(side, limit) == window


def squared_gradient(network, tokens, weight):
    (gradient,) = torch.autograd.grad(network(tokens).sin().sum(), tokens, create_graph=True)
    return torch.autograd.grad(gradient.square().sum(), weight)[0]


def test_the_second_derivative_is_that_of_finite_differences():
    attention = layer().double()
    tokens = torch.randn(2, 4, 8, dtype=torch.float64, requires_grad=True)
    with twice_differentiable():
        assert torch.autograd.gradgradcheck(attention, (tokens,))


def test_fused_attention_has_no_second_derivative():
    """Otherwise `twice_differentiable` would no longer be needed."""
    tokens = torch.randn(2, 4, 8, requires_grad=True)
    attention = layer()
    with pytest.raises(RuntimeError, match="not implemented"):
        squared_gradient(attention, tokens, attention.qkv.weight)
    with twice_differentiable():
        assert squared_gradient(attention, tokens, attention.qkv.weight).abs().sum() > 0


def test_both_forms_give_the_same_values():
    encoder, tokens = TransformerEncoder(8, 2), torch.randn(2, 6, 8)
    with twice_differentiable():
        exact = encoder(tokens)
    assert_close(encoder(tokens), exact)


@pytest.mark.parametrize("weights", [1, 36, 100, 2**20])
def test_attention_in_parts_equals_attention_at_once(monkeypatch, weights):
    attention, tokens = layer(), torch.randn(3, 6, 8)
    fused = attention(tokens)
    monkeypatch.setattr(token_attention, "CACHED_WEIGHTS", weights)  # 36 per image and head
    with twice_differentiable():
        assert_close(attention(tokens), fused)


@pytest.mark.parametrize("count", [16, 17])
def test_bfloat16_on_a_processor_is_written_out_where_the_weights_of_a_head_fit(monkeypatch, count):
    monkeypatch.setattr(token_attention, "CACHED_WEIGHTS", 16**2)
    query = torch.randn(2, 2, count, 4, requires_grad=True)
    short = count == 16
    assert _fused(query.bfloat16()) != short
    assert _fused(query)  # in float32, fused attention is faster
    exact = torch.nn.functional.scaled_dot_product_attention(query, query, query)
    half = query.bfloat16()
    assert_close(token_attention._attend(half, half, half).float(), exact, rtol=0.05, atol=0.05)


def _fused(query):
    output = token_attention._attend(query, query, query)
    return "ScaledDotProduct" in output.grad_fn.name()


def test_an_encoder_treats_images_separately():
    encoder, tokens = TransformerEncoder(8, 2), torch.randn(3, 6, 8)
    assert_close(encoder(tokens)[1:2], encoder(tokens[1:2]))


def test_class_projection_is_equation_1():
    torch.manual_seed(1)
    projection, tokens, condition = ClassProjection(6, 4), torch.randn(2, 5, 6), torch.randn(2, 4)
    gamma, beta = (condition @ weight.T for weight in projection.affine.weight.chunk(2))
    mean, var = tokens.mean(2, keepdim=True), tokens.var(2, keepdim=True, unbiased=False)
    expected = (tokens - mean) / (var + 1e-5).sqrt() * (1 + gamma[:, None]) + beta[:, None]
    assert_close(projection(tokens, condition), expected)
    projection.reset()
    assert_close(projection(tokens, condition), torch.nn.functional.layer_norm(tokens, (6,)))
