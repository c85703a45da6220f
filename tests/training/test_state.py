"""Nested state on disk: loading returns what was saved."""

import torch
from torch import nn

from histoforge.training.state import load_state, save_state


def test_a_channels_last_network_resumes_exactly_with_fused_adam(tmp_path):
    def train(through_disk):
        torch.manual_seed(0)
        conv = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(conv.parameters(), 1e-2, fused=True)
        for step in range(6):
            if step == 3 and through_disk:
                save_state(tmp_path / "state", optimizer.state_dict())
                optimizer.load_state_dict(load_state(tmp_path / "state"))
            optimizer.zero_grad()
            conv(torch.randn(2, 4, 5, 5)).square().sum().backward()
            optimizer.step()
        return conv.weight.detach()

    torch.testing.assert_close(train(True), train(False), rtol=0, atol=0)


def test_tensors_keep_their_layout(tmp_path):
    last = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    save_state(tmp_path / "state", {"last": last, "plain": torch.randn(2, 3, 4, 5), "narrow": torch.randn(6, 5, 1, 1)})
    loaded = load_state(tmp_path / "state")
    assert loaded["last"].stride() == last.stride()
    torch.testing.assert_close(loaded["last"], last, rtol=0, atol=0)
    assert loaded["plain"].is_contiguous()
    assert loaded["narrow"].is_contiguous()
