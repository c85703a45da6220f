"""Path lengths in a generator's latent space: the paper's path length and the standard PPL.

The literature uses one name for two measures, so both are computed, each with the settings it was measured with:

- `path_length`: "Two points Z1 and Z2 are randomly sampled from the latent space. A linear interpolation is performed
  […] The path length is the sum of these perceptual distances along the interpolation path" (the RL-EO paper, section
  V.A). It depends on the number of steps where the distance is a squared one, as LPIPS is.
- `perceptual_path_length`: E[d(G(z_t), G(z_(t+eps))) / eps^2] (Karras et al. 2019, section 4.1, eq. 2), which does not
  depend on it.

A0-11: the paper's values of 1e-8 to 1e-4 fit neither; a tiny value may also come from a generator that draws one image.
Everything is computed in float32, because in bfloat16 the images of two points that are eps apart are equal.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from histoforge.core.progress import Progress
from histoforge.metrics.extract import Extractor
from histoforge.metrics.results import Result

Decode = Callable[[Tensor, Tensor], Tensor]
"""Latents float32 [B, ...] and labels int64 [B] to images float32 [-1, 1] [B, 3, H, W]."""
Interpolation = Literal["lerp", "slerp"]
EPSILON = 1e-4
"""The step of Karras et al. 2019."""


class Distance(Protocol):
    """A perceptual distance between two images that grows with the square of small changes, as LPIPS does."""

    @property
    def name(self) -> str:
        """The distance's name in results."""

    def between(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distances, float32 [B], between images float32 [-1, 1] [B, 3, H, W]."""


class FeatureDistance:
    """Squared Euclidean distance between an extractor's features, each scaled to length 1; 0 to 4.

    This is LPIPS with one layer of an in-domain network and without learned weights, for use when no LPIPS weights are
    given.
    """

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor
        self.name = f"squared distance of unit features, {extractor.name}"

    def between(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distances, float32 [B], between images float32 [-1, 1] [B, 3, H, W]."""
        sides = (F.normalize(self.extractor.features(images).float(), dim=1) for images in (first, second))
        return (next(sides) - next(sides)).square().sum(1)


class PathLengths(Result):
    """Both path lengths of one generator.

    Attributes:
        distance: the perceptual distance that both use.
        pairs: number of pairs of latent points; both points of a pair have the same class.
        path_length, path_deviation: mean and deviation over the pairs of the paper's sum, along `steps` linear steps.
        steps: number of steps in the sum; values for different numbers of steps are not comparable.
        ppl, ppl_deviation: mean and deviation of the standard PPL, at one random position of each path.
        epsilon: step of the standard PPL, as a fraction of the path.
        interpolation: path of the standard PPL: 'slerp' along the great circle, or 'lerp'.
    """

    distance: str
    pairs: int
    path_length: float
    path_deviation: float
    steps: int
    ppl: float
    ppl_deviation: float
    epsilon: float
    interpolation: Interpolation


def path_lengths(
    decode: Decode,
    ends: tuple[Tensor, Tensor],
    labels: Tensor,
    distance: Distance,
    *,
    steps: int,
    positions: Tensor,
    interpolation: Interpolation = "slerp",
    epsilon: float = EPSILON,
    batch_size: int = 16,
) -> PathLengths:
    """Compute both path lengths between pairs of latent points.

    Args:
        ends: the points z1 and z2 of each pair, float32 [N, ...] each.
        labels: the class of each pair, int64 [N].
        steps: number of steps in the paper's sum.
        positions: position on its path at which the standard PPL of each pair is taken, float32 [N], 0 to 1 - epsilon.

    Raises:
        ValueError: there are fewer than two pairs.
    """
    if len(labels) < 2:
        raise ValueError("path lengths need at least two pairs of points")
    sums, local = [], []
    with Progress("path lengths", len(labels), "pairs") as progress:
        for rows in torch.arange(len(labels)).split(batch_size):
            pair = (ends[0][rows], ends[1][rows])
            sums.append(path_length(decode, *pair, labels[rows], steps, distance))
            local.append(
                perceptual_path_length(decode, *pair, labels[rows], positions[rows], distance, interpolation, epsilon)
            )
            progress.advance(len(rows))
    summed, standard = torch.cat(sums).double().cpu(), torch.cat(local).double().cpu()
    return PathLengths(
        distance=distance.name,
        pairs=len(labels),
        path_length=float(summed.mean()),
        path_deviation=float(summed.std()),
        steps=steps,
        ppl=float(standard.mean()),
        ppl_deviation=float(standard.std()),
        epsilon=epsilon,
        interpolation=interpolation,
    )


def path_length(
    decode: Decode, first: Tensor, second: Tensor, labels: Tensor, steps: int, distance: Distance
) -> Tensor:
    """Return the paper's path length of each pair: the sum of distances along the straight line, float32 [B].

    Args:
        first, second: the ends, float32 [B, ...].
        steps: number of equal parts into which the line is cut, at least 1.
    """
    with full_precision(first.device):
        before = decode(first, labels)
        total = torch.zeros(len(first), device=before.device)
        for step in range(1, steps + 1):
            after = decode(lerp(first, second, torch.full((len(first),), step / steps)), labels)
            total += distance.between(before, after)
            before = after
    return total


def perceptual_path_length(
    decode: Decode,
    first: Tensor,
    second: Tensor,
    labels: Tensor,
    positions: Tensor,
    distance: Distance,
    interpolation: Interpolation = "slerp",
    epsilon: float = EPSILON,
) -> Tensor:
    """Return the standard PPL of each pair, d(G(z_t), G(z_(t + epsilon))) / epsilon^2, float32 [B].

    The mean over pairs is the PPL. Karras et al. use 'slerp' in the input space, where points lie near a sphere. Their
    code also discards the lowest and highest hundredth of the values; this function does not.

    Args:
        positions: t of each pair, float [B].
    """
    walk = slerp if interpolation == "slerp" else lerp
    with full_precision(first.device):
        images = [decode(walk(first, second, t), labels) for t in (positions, positions + epsilon)]
        return distance.between(*images) / epsilon**2


def lerp(first: Tensor, second: Tensor, positions: Tensor) -> Tensor:
    """Return points on the straight lines between `first` and `second`, float32 [B, ...], at `positions` [B]."""
    t = _along(positions, first)
    return ((1 - t) * first.double() + t * second.double()).float()


def slerp(first: Tensor, second: Tensor, positions: Tensor) -> Tensor:
    """Return points on the great circles between `first` and `second`, float32 [B, ...] (Shoemake 1985).

    The angle is that between the two directions; different lengths are blended. Parallel points fall back to `lerp`.
    """
    a, b = first.double().flatten(1), second.double().flatten(1)
    angle = F.cosine_similarity(a, b, dim=1).clamp(-1, 1).acos()
    t = positions.to(a)
    near = angle.sin() < 1e-6
    safe = torch.where(near, torch.ones_like(angle), angle)
    left = torch.where(near, 1 - t, ((1 - t) * safe).sin() / safe.sin())
    right = torch.where(near, t, (t * safe).sin() / safe.sin())
    return (left[:, None] * a + right[:, None] * b).float().view_as(first)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Make networks compute in true float32: no autocast, and no TensorFloat-32 in a GPU's convolutions."""
    cudnn = torch.backends.cudnn
    exact = cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )
    with torch.inference_mode(), torch.autocast(device.type, enabled=False), exact:
        yield


def _along(positions: Tensor, points: Tensor) -> Tensor:
    return positions.to(points.device, torch.float64).view(-1, *[1] * (points.ndim - 1))
