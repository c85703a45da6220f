"""Figures of Li et al. ("Unified Framework for Histopathology Image Augmentation and Classification", PCam, 10%).

Accuracy, AUC, sensitivity and specificity, in the order of `TABLE_SCORES`. A2-14: the deviations that the paper prints
beside them are implausibly large for such scores and are left out.
"""

from collections.abc import Mapping

Figures = tuple[float, float, float, float]

BACKBONES: Mapping[str, tuple[Figures, Figures]] = {
    "resnet34": ((0.881, 0.945, 0.846, 0.916), (0.916, 0.954, 0.891, 0.951)),
    "resnet50_cbam": ((0.899, 0.955, 0.863, 0.935), (0.922, 0.962, 0.879, 0.945)),
    "densenet169": ((0.894, 0.955, 0.881, 0.908), (0.928, 0.960, 0.898, 0.967)),
}
"""Table I: on real patches alone, and with synthetic patches."""
NETWORKS: Mapping[str, Figures] = {
    "medvitgan": (0.939, 0.980, 0.906, 0.974),
    "vitgan": (0.945, 0.981, 0.910, 0.977),
}
"""Table I."""
ABLATION: Mapping[str, Figures] = {
    "medvitgan": (0.916, 0.971, 0.900, 0.923),
    "vitgan_cp": (0.931, 0.966, 0.897, 0.957),
    "vitgan_sa": (0.929, 0.977, 0.889, 0.961),
    "vitgan": (0.945, 0.981, 0.910, 0.977),
}
"""Table II."""


def of_table_1(factors: Mapping[str, float | str]) -> Figures | None:
    """Return the paper's figures for an arm of Table I, given its factors; None if the paper has none."""
    if "network" in factors:
        return NETWORKS.get(str(factors["network"]))
    rows = BACKBONES.get(str(factors.get("backbone")))
    return rows["ratio" in factors] if rows else None
