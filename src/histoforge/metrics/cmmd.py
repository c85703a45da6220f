"""Maximum mean discrepancy with a Gaussian kernel on embeddings of length 1, for small sets (Jayasumana et al. 2024).

"Rethinking FID: Towards a Better Evaluation Metric for Image Generation", arXiv 2401.09603: the unbiased estimate of
the squared MMD with k(x, y) = exp(-|x - y|^2 / (2 sigma^2)), sigma = 10, times 1,000. Unlike FID it assumes no normal
distribution, and its expectation does not depend on the number of samples. Deviation: CMMD uses embeddings of CLIP;
here the features of any extractor are scaled to length 1, so values compare only within one extractor, and not with
those of the paper.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from histoforge.metrics.features import Features, same_space, squared_distance_blocks

SIGMA, SCALE = 10.0, 1000.0


def gaussian_mmd(real: Features, fake: Features) -> float:
    """Return 1,000 times the unbiased squared MMD of features [N, D] and [M, D]; it may be below zero.

    Raises:
        ValueError: the numbers of dimensions differ, or there are fewer than two samples.
    """
    reals, fakes = (F.normalize(side, dim=1) for side in same_space(real, fake))
    n, m = len(reals), len(fakes)
    if min(n, m) < 2:
        raise ValueError("a kernel distance needs at least two samples of each side")
    within = _kernel_sum(reals, reals) / (n * (n - 1)) + _kernel_sum(fakes, fakes) / (m * (m - 1))
    return SCALE * (within - 2 * _kernel_sum(reals, fakes) / (n * m))


def _kernel_sum(first: Tensor, second: Tensor) -> float:
    """Sum k(x, y) - 1 over all pairs; the ones cancel, and a sample's pair with itself adds 0."""
    return sum(
        float(torch.expm1(squared / (-2 * SIGMA**2)).double().sum())
        for _, squared in squared_distance_blocks(first, second)
    )
