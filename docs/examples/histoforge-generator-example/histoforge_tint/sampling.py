"""A generator that draws the mean colour of each class, with noise; imported when it is used."""

import torch


def load(state, device):
    """Return the function that draws.

    Args:
        state: the tensors of the file that was given at the import: 'colours', float32 [classes, 3] in [-1, 1].
        device: where to draw.
    """
    colours = state["colours"].to(device)

    def sample(labels, rng):
        """Draw images of the classes `labels`, int64 [B] on the CPU: float32 [B, 3, 64, 64] in [-1, 1]."""
        noise = torch.randn(len(labels), 3, 64, 64, generator=rng).to(device)
        return (colours[labels.to(device)][:, :, None, None] + 0.1 * noise).clamp(-1, 1)

    return sample
