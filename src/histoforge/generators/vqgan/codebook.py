"""The evenness with which codes of a codebook are used, and the restart of those that are not."""

import torch
from torch import Tensor, nn

from histoforge.training import processes


def shares(codes: Tensor, codebook_size: int) -> Tensor:
    """Return the share of each code among `codes`, int64 of any shape, over all processes: float32 [codebook_size]."""
    counts = torch.bincount(codes.flatten(), minlength=codebook_size)
    return processes.mean(counts.float()) / codes.numel()


def perplexity(shares: Tensor) -> Tensor:
    """Return the perplexity of shares [codes], exp(-sum p log p): the number of codes if all are used alike."""
    return torch.special.entr(shares).sum().exp()


class CodeRestarts(nn.Module):
    """Sets codes that were not used for some steps to random outputs of the encoder.

    A code that is never the nearest one gets no gradient and stays unused (codebook collapse). A3-14: Esser et al. do
    nothing against it; this is Dhariwal et al. 2020, "Jukebox", section 3.1, with a number of steps in the place of a
    moving average of its use.

    Attributes:
        idle: steps since each code was last used, int64 [codes].
    """

    idle: Tensor

    def __init__(self, codebook_size: int, after: int) -> None:
        super().__init__()
        self.after = after
        self.register_buffer("idle", torch.zeros(codebook_size, dtype=torch.int64))

    @torch.no_grad()
    def update(self, codebook: nn.Embedding, shares: Tensor, encoded: Tensor, rng: torch.Generator) -> Tensor:
        """Restart the codes that are due after a step, and return how many, float32 [].

        Args:
            codebook: the vectors [codes, D], changed in place.
            shares: share of each code in the step, [codes].
            encoded: outputs of the encoder, [B, D, h, w]; this process's rows.
            rng: chooses among them; the same in all processes.
        """
        self.idle.add_(1).masked_fill_(shares > 0, 0)
        dead = self.idle >= self.after
        candidates = processes.gather_rows(encoded.detach()).permute(0, 2, 3, 1).flatten(0, 2)
        chosen = torch.randint(len(candidates), (len(dead),), generator=rng, device=encoded.device)
        codebook.weight.copy_(torch.where(dead[:, None], candidates[chosen], codebook.weight))
        self.idle.masked_fill_(dead, 0)
        return dead.sum().float()
