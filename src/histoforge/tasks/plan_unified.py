"""Plan the comparison of one network that draws and classifies patches with two stages that do one each."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from histoforge.classifiers.backbones.registry import find_backbone, input_size
from histoforge.core.errors import SettingsError
from histoforge.generators.methods import METHODS
from histoforge.generators.unified_networks import NETWORKS, UNIFIED
from histoforge.steps.settings import step_config, step_overrides
from histoforge.steps.table import STEPS
from histoforge.tasks.plan_benchmark import MOST_RUNS, settings
from histoforge.tasks.plan_study import checked_numbers, name_of_number

Part = Literal["backbones", "cells", "networks"]


class UnifiedPlan(NamedTuple):
    """The trainings of the pipeline `unified`.

    Attributes:
        baseline: `backbone` and `factors` of the first backbone on real patches, which also scores candidates.
        backbones: `arm`, `backbone` and `factors` of the other backbones on real patches.
        cells: the same, `ratio` and `pool_multiple` of each backbone with synthetic patches.
        networks: `arm`, `method`, `overrides` of `train_generator`, first `seed` and number of `seeds` of each network.
        ratios: synthetic patches per real training patch, in ascending order.
        pool_multiple: candidates of the two-stage generator per real training patch, from which all cells choose.
    """

    baseline: dict[str, Any]
    backbones: list[dict[str, Any]]
    cells: list[dict[str, Any]]
    networks: list[dict[str, Any]]
    ratios: list[float]
    pool_multiple: float

    def part(self, name: str) -> list[dict[str, Any]]:
        """Return the items of one loop: 'backbones', 'cells' or 'networks'."""
        items: list[dict[str, Any]] = getattr(self, name)
        return items


def plan_unified(
    backbones: Sequence[str],
    ratios: Sequence[float],
    networks: Sequence[str],
    two_stages: str,
    *,
    seeds: int,
    patch_size: str,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
) -> UnifiedPlan:
    """Plan all trainings, and check their settings before any of them.

    Args:
        backbones: networks of the classifiers; the first one also chooses epochs and candidates.
        ratios: synthetic patches per real training patch.
        networks: names in `NETWORKS`; 'vitgan' is always among them.
        two_stages: method of the two-stage system's generator.
        seeds: number of classifiers per arm, and of trainings per network; 0 for the preset's.
        patch_size: the pipeline's value for `preprocess`; '' for the preset's.
        seed: the first seed; -1 leaves it to the preset and the overrides.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value.

    Raises:
        SettingsError: if a list is too short or has an unknown name, or a training does not accept its settings.
    """
    names = distinct("backbones", backbones, 2)
    ratios = checked_numbers("ratios", ratios, 10)
    cutting: Any = step_config(STEPS["preprocess"], preset, overrides, {"patch_size": patch_size, "source": "any"})
    given = {"augmentation": "none", "seeds": seeds, "seed": seed}
    for name in names:
        _check_backbone(name, cutting.size, preset, overrides, given)
    classifier: Any = step_config(STEPS["train_classifier"], preset, overrides, {**given, "backbone": names[0]})
    planned = _networks(networks, classifier.seed, classifier.seeds, preset, overrides)
    for network in planned:
        _check_generator(network["method"], network["seed"], cutting.size, preset, network["overrides"])
    if METHODS.named(two_stages).needs_models:
        raise SettingsError(f"'two_stages' is '{two_stages}', which needs a guide or latents: choose another method.")
    _check_generator(two_stages, seed, cutting.size, preset, overrides)
    pool = _pool_multiple(ratios, seed, preset, overrides)
    arms = [{"arm": arm_name(name), "backbone": name, "factors": [f"backbone={name}"]} for name in names]
    cells = [_cell(arm, ratio, pool) for ratio in ratios for arm in arms]
    return UnifiedPlan(arms[0], arms[1:], cells, planned, ratios, pool)


def plan_seeds(method: str, overrides: Mapping[str, Any], seed: int, seeds: int) -> list[dict[str, Any]]:
    """Return `method`, `overrides` and `seed` of each of a network's trainings."""
    return [{"method": method, "overrides": dict(overrides), "seed": seed + number} for number in range(seeds)]


def distinct(name: str, values: Sequence[str], least: int) -> list[str]:
    """Return the different names of a list, in order.

    Raises:
        SettingsError: it is no list of names, or has fewer than `least` different ones.
    """
    valid = not isinstance(values, str) and all(isinstance(value, str) and value for value in values)
    if not valid or len(set(values)) < least:
        wanted = "at least two different names" if least > 1 else "a list of names"
        raise SettingsError(f"'{name}' is {values!r}: give {wanted}.")
    return list(dict.fromkeys(values))


def _check_backbone(
    name: str, size: tuple[int, int], preset: str, overrides: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    entry = find_backbone(name)
    config: Any = step_config(STEPS["train_classifier"], preset, overrides, {**given, "backbone": name})
    if config.weights:
        raise SettingsError("train_classifier.weights fits one backbone, and this pipeline trains several: omit it.")
    size = input_size(size, config.input_size)
    entry.check(name, size, config.width)
    entry.resolve_stem(config.stem, size, pretrained=False)


def _check_generator(method: str, seed: int, size: tuple[int, int], preset: str, overrides: Mapping[str, Any]) -> None:
    config = settings({"method": method, "reward": "", "seed": seed}, preset, overrides)
    METHODS[method].check_size(config, size)


def _pool_multiple(ratios: Sequence[float], seed: int, preset: str, overrides: Mapping[str, Any]) -> float:
    """Return the candidates per real training patch: twice those to keep, or as many as the settings say."""
    for ratio in ratios:
        given = {"rule": "confidence", "ratio": ratio, "seed": seed}
        config: Any = step_config(STEPS["select_samples"], preset, overrides, given)
    return float(max(config.pool_multiple, 2 * ratios[-1]))


def _networks(
    names: Sequence[str], seed: int, seeds: int, preset: str, overrides: Mapping[str, Any]
) -> list[dict[str, Any]]:
    chosen = [NETWORKS.named(name) for name in distinct("networks", names, 1)]
    if UNIFIED not in names:
        raise SettingsError(f"'networks' is {list(names)!r}: add '{UNIFIED}', with which all others are compared.")
    if seeds > MOST_RUNS:
        raise SettingsError(f"'seeds' is {seeds}, and this pipeline trains at most {MOST_RUNS} networks of a kind.")
    common = step_overrides(STEPS["train_generator"], overrides)
    return [
        {
            "arm": network.name,
            "method": network.method,
            "overrides": {**common, **network.overrides},
            "seed": seed,
            "seeds": seeds,
        }
        for network in chosen
    ]


def arm_name(backbone: str) -> str:
    """Return the name of a backbone as that of an arm."""
    return re.sub("[^a-z0-9]", "_", backbone.lower())[:30]


def _cell(arm: Mapping[str, Any], ratio: float, pool_multiple: float) -> dict[str, Any]:
    return {
        "arm": f"{arm['arm']}_r{name_of_number(ratio)}",
        "backbone": arm["backbone"],
        "factors": [*arm["factors"], f"ratio={ratio:g}"],
        "ratio": ratio,
        "pool_multiple": pool_multiple,
    }
