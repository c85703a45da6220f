"""One network against two stages, among the arms of a study (Li et al., Tables I and II)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from histoforge.generators.unified_networks import BASE, NETWORKS, UNIFIED

if TYPE_CHECKING:
    from histoforge.evaluation.study_findings import ArmFindings

FURTHER_PAIRS = ((UNIFIED, BASE),)
"""Networks that are compared besides those of `UnifiedNetwork.against`."""


def unified_network(arms: Sequence["ArmFindings"]) -> "ArmFindings | None":
    """Return the arm of the unified network; None if the study has none."""
    return next((arm for arm in arms if arm.factors.get("network") == UNIFIED), None)


def two_stages(arms: Sequence["ArmFindings"]) -> "ArmFindings | None":
    """Return the arm that represents the two-stage system; None if there is no arm of a backbone and synthetic patches.

    It is the one with the highest accuracy on the validation split, mean over seeds. The test split chooses nothing, so
    that the comparison with it favours neither side.
    """
    candidates = [arm for arm in arms if {"backbone", "ratio"} <= arm.factors.keys()]
    return max(candidates, key=validation_accuracy, default=None)


def validation_accuracy(arm: "ArmFindings") -> float:
    """Return the mean accuracy of an arm's seeds on the validation split at the kept epochs; -1 if unknown."""
    epochs = zip(arm.histories, arm.training.best_epochs, strict=True)
    values = [history[best - 1].get("val_accuracy") for history, best in epochs if best and len(history) >= best]
    measured = [value for value in values if value is not None]
    return float(np.mean(measured)) if measured else -1.0


def unified_reference(arms: Sequence["ArmFindings"], arm: "ArmFindings") -> str | None:
    """Return the name of the arm that an arm of this comparison is compared with; None if it has no part in it.

    A backbone with synthetic patches is compared with the same one without; the unified network and its baseline with
    the two-stage system; an ablation with the network that it changes.
    """
    if len(arm.factors) > 1 and "backbone" in arm.factors:
        alone = {"backbone": arm.factors["backbone"]}
        return next((each.name for each in arms if each.factors == alone), None)
    network = NETWORKS.get(str(arm.factors.get("network", "")))
    if network is None:
        return None
    changed = (each.name for each in arms if network.against and each.factors.get("network") == network.against)
    reference = next(changed, None)
    stages = two_stages(arms)
    return reference or (stages.name if stages else None)


def further_pairs(arms: Sequence["ArmFindings"]) -> list[tuple[str, str]]:
    """Return the pairs of arms that are compared besides each arm and its reference.

    These are the unified network and its baseline, and each backbone's arms with images of two generators (PathUp,
    Table 6).
    """
    names = {str(arm.factors.get("network")): arm.name for arm in arms if "network" in arm.factors}
    networks = [(names[first], names[second]) for first, second in FURTHER_PAIRS if {first, second} <= names.keys()]
    ours = [arm for arm in arms if "backbone" in arm.factors and arm.factors.get("kind") == "ours"]
    drawn = [
        (arm.name, other.name) for arm in ours for other in arms if other.factors == {**arm.factors, "kind": "random"}
    ]
    return networks + drawn
