"""Improved precision and recall (Kynkaanniemi et al. 2019) and density and coverage (Naeem et al. 2020)."""

from dataclasses import dataclass

import torch

from histoforge.metrics.features import Features, neighbour_radii, same_space, squared_distance_blocks


@dataclass(frozen=True)
class ManifoldScores:
    """Overlap of generated and real samples; a sample's ball reaches to its k-th nearest neighbour.

    Attributes:
        precision: share of fakes inside the ball of any real sample (realism), 0 to 1.
        recall: share of reals inside the ball of any fake sample (variety), 0 to 1.
        density: mean number of real balls that hold a fake, divided by k (Naeem et al. 2020); about 1 for equal
            distributions, not bounded by 1.
        coverage: share of real balls that hold a fake (Naeem et al. 2020), 0 to 1.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(real: Features, fake: Features, neighbours: int = 5) -> ManifoldScores:
    """Compute the scores of features [N, D] against [M, D], with all distances in blocks.

    A point on a ball's boundary is inside (Kynkaanniemi et al., eq. 1). Recall falls and precision rises when there are
    fewer fakes than reals, so compare equal numbers.

    Raises:
        ValueError: the numbers of dimensions differ, or a side has no more than `neighbours` samples.
    """
    reals, fakes = same_space(real, fake)
    if min(len(reals), len(fakes)) <= neighbours:
        raise ValueError(f"{neighbours} neighbours need more than {neighbours} samples of each side")
    real_radii, fake_radii = neighbour_radii(reals, neighbours), neighbour_radii(fakes, neighbours)
    inside = precise = 0
    recalled = torch.zeros(len(reals), dtype=torch.bool, device=reals.device)
    covered = torch.zeros_like(recalled)
    for rows, squared in squared_distance_blocks(fakes, reals):
        in_real_ball = squared <= real_radii
        inside += int(in_real_ball.sum())
        precise += int(in_real_ball.any(1).sum())
        covered |= in_real_ball.any(0)
        recalled |= (squared <= fake_radii[rows, None]).any(0)
    return ManifoldScores(
        precision=precise / len(fakes),
        recall=float(recalled.double().mean()),
        density=inside / (neighbours * len(fakes)),
        coverage=float(covered.double().mean()),
    )
