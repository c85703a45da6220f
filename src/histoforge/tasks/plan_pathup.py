"""Plan the experiment of PathUp: generators of two levels, ways to draw large images, and classifiers of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from histoforge.classifiers.backbones.registry import find_backbone, input_size
from histoforge.core.errors import SettingsError
from histoforge.core.text import dimensions, join_words
from histoforge.generators.methods import METHODS
from histoforge.generators.pathup.config import ALIGNMENTS
from histoforge.generators.pathup.geometry import check_size
from histoforge.steps.settings import step_config, step_overrides
from histoforge.steps.table import STEPS
from histoforge.tasks.plan_benchmark import settings
from histoforge.tasks.plan_unified import arm_name, distinct

METHOD = "pathup"
SHRINK = 4
"""Patches that an overview covers on each side, unless a preset or an override says otherwise: section 4.1."""
VIT, BAGS = "vit_s_16", "admil"
"""The classifiers of Table 6, unless the preset trains a larger vision transformer."""
SCALES = (2, 4, 8)
"""Factors by which upscalers enlarge images."""
LARGEST = 4096
"""Largest side of an image that `preprocess` cuts, px."""
KINDS = ("random", "ours")
"""Arms with synthetic images: of the unaligned generator (A3-11), and of the full method."""


class PathupPlan(NamedTuple):
    """The tasks of the pipeline `pathup`.

    Attributes:
        cutting: overrides of `preprocess` for patches, and for overviews of the same size.
        cutting_images: those for large images at the resolution of the patches, which are its overviews.
        size: height and width of a large image, as `synthesise_images` takes it.
        alignments: overrides of `train_generator` by alignment, the rows of Table 2.
        baselines: methods of Table 1 to train on each level: `method`.
        drawings: further ways to draw with the full method: `name` and `overrides` of `synthesise_images`.
        upscalers: networks of Table 3 that enlarge overviews: `method` and `scale` of `train_upscaler`.
        classifiers: the backbones of Table 6: `backbone`, `overrides` of `train_classifier`, and for each kind of arm
            (`real`, `random`, `ours`) its name and, as `real_factors` and so on, its factors.
    """

    cutting: dict[str, Any]
    cutting_images: dict[str, Any]
    size: str
    alignments: dict[str, dict[str, Any]]
    baselines: list[dict[str, Any]]
    drawings: list[dict[str, Any]]
    upscalers: list[dict[str, Any]]
    classifiers: list[dict[str, Any]]


def plan_pathup(
    backbones: Sequence[str],
    baselines: Sequence[str],
    upscalers: Sequence[str],
    *,
    patch_size: str,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
) -> PathupPlan:
    """Plan all tasks, and check their settings before any of them.

    Args:
        backbones: networks that classify large images; none for a vision transformer and `admil`.
        baselines: methods that are trained on each level apart, at least one.
        upscalers: methods of `train_upscaler`, at least one.
        patch_size: the pipeline's value for `preprocess`; '' for the preset's.
        seed: the first seed; -1 leaves it to the preset and the overrides.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value.

    Raises:
        SettingsError: there are not two levels, their images do not fit the networks, or a task does not accept its
            settings.
    """
    cutting, side, shrink = _levels(patch_size, seed, preset, overrides)
    large = side * shrink
    images = {**cutting, "preprocess.overview_size": large, "preprocess.overview_shrink": 1}
    alignments = _alignments(side, seed, preset, overrides)
    drawings = _drawings(large, seed, preset, overrides)
    methods = distinct("baselines", baselines, 1)
    for name in methods:
        _check_baseline(name, side, seed, preset, overrides)
    enlarging = [_upscaler(method, shrink, seed, preset, overrides) for method in distinct("upscalers", upscalers, 1)]
    classifiers = [
        _classifier(name, number, (side, large), seed, preset, overrides)
        for number, name in enumerate(_backbones(backbones, preset, overrides))
    ]
    baseline_items = [{"method": name} for name in methods]
    return PathupPlan(cutting, images, str(large), alignments, baseline_items, drawings, enlarging, classifiers)


def _values_of(parameter: str, overrides: Mapping[str, Any]) -> list[Any]:
    """Return the values that the overrides of a step give to one of its parameters."""
    return [value for name, value in overrides.items() if name.rpartition(".")[2] == parameter]


def _levels(patch_size: str, seed: int, preset: str, overrides: Mapping[str, Any]) -> tuple[dict[str, Any], int, int]:
    """Return the overrides that cut patches and overviews, the side of both, px, and the overviews' shrink factor."""
    step = STEPS["preprocess"]
    given = {"patch_size": patch_size, "seed": seed, "source": "any"}
    asked = step_overrides(step, overrides)
    plain: Any = step_config(step, preset, overrides, given)
    shrink = plain.overview_shrink if plain.overview_shrink > 1 else SHRINK
    _check_levels(plain, asked, shrink)
    levels = {"overview_size": 0, "overview_shrink": shrink}
    other_overrides = {name: value for name, value in asked.items() if name.rpartition(".")[2] not in levels}
    cutting = {**other_overrides, **{f"preprocess.{name}": value for name, value in levels.items()}}
    step_config(step, preset, cutting, given)
    return cutting, plain.size[0], shrink


def _check_levels(plain: Any, asked: Mapping[str, Any], shrink: int) -> None:
    """Check that patches are square and overviews have their size but show more tissue."""
    side = plain.size[0]
    if plain.size != (side, side):
        raise SettingsError(
            f"The patches have {dimensions(plain.size)} px, and the pipeline '{METHOD}' cuts square ones: give "
            f"patch_size={side}."
        )
    if plain.folds:
        raise SettingsError(f"preprocess: 'folds' is {plain.folds}, and the pipeline '{METHOD}' has a single split.")
    if _values_of("overview_size", asked) and plain.overview_size not in (0, side):
        raise SettingsError(
            f"preprocess: 'overview_size' is {plain.overview_size}, and overviews have the size of patches, {side} px: "
            "leave it out."
        )
    if _values_of("overview_shrink", asked) and plain.overview_shrink < 2:
        raise SettingsError(
            f"preprocess: 'overview_shrink' is {plain.overview_shrink}, and PathUp learns overviews that show more "
            f"tissue than patches: give at least 2, or leave it out for {SHRINK}."
        )
    if side * shrink > LARGEST:
        raise SettingsError(
            f"Patches of {side} px and overview_shrink={shrink} make large images of {side * shrink} px, and at most "
            f"{LARGEST} px are possible: choose a smaller patch_size or overview_shrink."
        )


def _alignments(side: int, seed: int, preset: str, overrides: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the overrides of each alignment, after checking that a generator of both levels can be trained."""
    common = step_overrides(STEPS["train_generator"], overrides)
    if _values_of("alignment", common):
        raise SettingsError(f"train_generator: the pipeline '{METHOD}' trains every 'alignment': leave it out.")
    autoencoder: Any = step_config(STEPS["train_autoencoder"], preset, overrides, {"seed": seed})
    plans = {}
    for alignment in ALIGNMENTS:
        plans[alignment] = {**common, f"train_generator.{METHOD}.alignment": alignment}
        config: Any = settings({"method": METHOD, "reward": "", "seed": seed}, preset, plans[alignment])
        if config.spatial_levels != "both":
            raise SettingsError(
                f"train_generator: 'spatial_levels' is '{config.spatial_levels}', and large images are drawn by a "
                "generator of patches and overviews: leave it out."
            )
        factor = 1 if autoencoder.weights else 2 ** (autoencoder.levels - 1)
        check_size(config, (side, side), METHOD, factor)
    return plans


def _drawings(large: int, seed: int, preset: str, overrides: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how the full method draws besides its own way: without the weight map (Table 4), or bicubic (Table 3)."""
    common = step_overrides(STEPS["synthesise_images"], overrides)
    for fixed in ("upscaler", "weights"):
        if _values_of(fixed, common):
            raise SettingsError(f"synthesise_images: the pipeline '{METHOD}' compares every '{fixed}': leave it out.")
    ways: dict[str, dict[str, Any]] = {"no weight map": {"weights": "none"}, "bicubic": {"upscaler": "bicubic"}}
    drawings = []
    for name, way in ways.items():
        values = {**common, **{f"synthesise_images.{parameter}": value for parameter, value in way.items()}}
        step_config(STEPS["synthesise_images"], preset, values, {"size": str(large), "seed": seed})
        drawings.append({"name": name, "overrides": values})
    return drawings


def _upscaler(method: str, shrink: int, seed: int, preset: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return an upscaler that enlarges an overview to the size of a large image."""
    if shrink not in SCALES:
        raise SettingsError(
            f"An upscaler enlarges by {join_words([str(scale) for scale in SCALES], 'or')}, and large images have "
            f"{shrink} times the side of an overview: choose another overview_shrink."
        )
    step_config(STEPS["train_upscaler"], preset, overrides, {"method": method, "scale": shrink, "seed": seed})
    return {"method": method, "scale": shrink}


def _check_baseline(name: str, side: int, seed: int, preset: str, overrides: Mapping[str, Any]) -> None:
    if METHODS.named(name).needs_models:
        raise SettingsError(f"'baselines' has '{name}', which needs a guide or latents: choose another method.")
    config = settings({"method": name, "reward": "", "seed": seed}, preset, overrides)
    METHODS[name].check_size(config, (side, side))


def _backbones(names: Sequence[str], preset: str, overrides: Mapping[str, Any]) -> list[str]:
    if names:
        return distinct("backbones", names, 1)
    common: Any = step_config(STEPS["train_classifier"], preset, overrides)
    return [common.backbone if common.backbone.startswith("vit_") else VIT, BAGS]


def _classifier(
    backbone: str, number: int, sizes: tuple[int, int], seed: int, preset: str, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arms of a backbone, which sees a large image shrunk to a patch, or as a bag of tiles of that size."""
    side, large = sizes
    entry = find_backbone(backbone)
    common = step_overrides(STEPS["train_classifier"], overrides)
    values = {name: value for name, value in common.items() if name.rpartition(".")[2] != "backbone"}
    size = "tile_size" if entry.pools_tiles else "input_size"
    if not _values_of(size, values):
        values[f"train_classifier.{size}"] = side
    if entry.pools_tiles:
        values["train_classifier.input_size"] = 0
    config: Any = step_config(STEPS["train_classifier"], preset, values, {"backbone": backbone, "seed": seed})
    if config.weights:
        raise SettingsError("train_classifier.weights fits one backbone, and this pipeline trains several: omit it.")
    seen = input_size((large, large), config.input_size)
    entry.check(backbone, seen, config.width)
    entry.resolve_stem(config.stem, seen, pretrained=False)
    name, factor = arm_name(backbone), f"backbone={backbone}"
    return {
        "backbone": backbone,
        "overrides": values,
        "real": name if number else "baseline",
        "real_factors": [factor],
        **{kind: f"{name}_{kind}" for kind in KINDS},
        **{f"{kind}_factors": [factor, f"kind={kind}"] for kind in KINDS},
    }
