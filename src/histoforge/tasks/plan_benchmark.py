"""Plan the generators of a benchmark: methods x seeds, and x classes if a method trains one network per class.

Beside them stand the entrants, generators and sets of patches that somebody else made.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from histoforge.core.errors import SettingsError
from histoforge.core.text import counted
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.methods import METHODS, parse_title, title
from histoforge.steps.settings import step_config, step_overrides
from histoforge.steps.table import STEPS
from histoforge.steps.train_generator_config import method_config

MOST_RUNS = 36
"""Kubeflow passes the names of everything that a loop collected as one argument, which Linux limits to 128 KiB."""


def plan_benchmark(
    methods: Sequence[str],
    generator_seeds: int,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
    downstream_seeds: int = 0,
    patch_size: str = "",
    source: str = "",
    entrants: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Plan the runs of a benchmark: one generator, or set of patches in its place, and two classifiers each.

    All settings that the runs pass to `train_generator` and `train_classifier` are checked here, before any training.

    Args:
        methods: titles of methods, such as 'dcgan' or 'rleo:literal'; a method without its variant has the default one.
        generator_seeds: number of generators to train with each method, with the seeds `seed`, `seed` + 1, …
        seed: the first seed; -1 leaves it to the preset and the overrides.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value.
        downstream_seeds: the pipeline's value for the classifiers that judge a generator; 0 for the preset's.
        patch_size: the pipeline's value for `preprocess`; '' for the preset's.
        source: location of the real slides or images; entrants need it.
        entrants: locations of generators and of synthetic images that somebody else made.

    Returns:
        For each run: `title` (shown on the leaderboard, such as 'rleo:literal'; kfp reserves `name` for a loop's item),
        `method`, `reward` (its variant; '' for a method without variants), `seed`, and the names of its arms: `arm`
        (only synthetic patches) and `both` (with the real ones); `step`, the step that trains or imports, with its
        `overrides`; and `source` and `digest` of an entrant, '' for others.

    Raises:
        SettingsError: if there are no methods, a method or variant is unknown, there are too many runs, a step rejects
            its settings, or a method cannot make the patch size.
        HistoforgeError: if an entrant is missing, unsupported, or does not fit the source.
    """
    names = dict.fromkeys(_resolved(text, preset, overrides) for text in _checked_list(methods))
    if generator_seeds < 1:
        raise SettingsError(f"'generator_seeds' is {generator_seeds}: give at least 1.")
    if isinstance(entrants, str):
        raise SettingsError(f"'entrants' is {entrants!r}: give a list of locations, such as ['vendor/tiles'].")
    if len(names) * generator_seeds + len(entrants) > MOST_RUNS:
        and_entrants = f" and {counted(len(entrants), 'entrants')}" if entrants else ""
        raise SettingsError(
            f"{len(names)} methods with {generator_seeds} seeds each{and_entrants} are "
            f"{len(names) * generator_seeds + len(entrants)} generators, and a benchmark takes at most {MOST_RUNS}: "
            "list fewer methods or lower generator_seeds."
        )
    first_seeds = {
        (method, variant): settings({"method": method, "reward": variant, "seed": seed}, preset, overrides).seed
        for method, variant in names
    }
    training_overrides = step_overrides(STEPS["train_generator"], overrides)
    runs = [
        _run(*name, first_seed + i, training_overrides)
        for name, first_seed in first_seeds.items()
        for i in range(generator_seeds)
    ]
    cutting: Any = step_config(STEPS["preprocess"], preset, overrides, {"patch_size": patch_size, "source": "any"})
    for run in runs:
        METHODS[run["method"]].check_size(settings(run, preset, overrides), cutting.size)
    for use in ("synthetic", "both"):
        given = {"arm": runs[0]["arm"], "use": use, "seeds": downstream_seeds, "seed": seed}
        step_config(STEPS["train_classifier"], preset, overrides, given)
    return [*runs, *_entrants(runs, entrants, source, cutting.size, seed, preset, overrides)]


def plan_classes(
    run: Mapping[str, Any], classes: Sequence[str], preset: str, overrides: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the trainings of a run's generator: `method`, `reward`, `seed` and `only_class` of each.

    There is one per class if the method trains one network per class, so that these can be trained side by side, and
    otherwise one with `only_class` ''. A class that `overrides` name stays as it is.

    Args:
        run: `method`, `reward` and `seed`, as returned by `plan_benchmark`.
        classes: names of the classes of the patch set.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value.
    """
    config = settings(run, preset, overrides)
    separate = config.class_wise and not getattr(config, "only_class", "")
    common = {name: run[name] for name in ("method", "reward", "seed")}
    return [{**common, "only_class": name} for name in (classes if separate else [""])]


def settings(run: Mapping[str, Any], preset: str, overrides: Mapping[str, Any]) -> GeneratorConfig:
    """Return the method's own settings in a run.

    Raises:
        SettingsError: if the method or the step does not accept them.
    """
    given = {name: run[name] for name in ("method", "reward", "seed")}
    config: Any = step_config(STEPS["train_generator"], preset, overrides, given)
    return method_config(config)


def _checked_list(methods: Sequence[str]) -> list[str]:
    if isinstance(methods, str) or not methods or not all(isinstance(text, str) and text for text in methods):
        raise SettingsError(f"'methods' is {methods!r}: give a list of names, such as ['dcgan', 'rleo:literal'].")
    return list(methods)


def _resolved(text: str, preset: str, overrides: Mapping[str, Any]) -> tuple[str, str]:
    """Return method and variant, filling in the default variant, so that no run is planned under two names."""
    method, variant = parse_title(text)
    if method.latent:
        raise SettingsError(
            f"The method '{method.name}' trains on latents, which this pipeline does not make: leave '{text}' out of "
            "'methods'."
        )
    if method.variant_parameter:
        config = settings({"method": method.name, "reward": variant, "seed": -1}, preset, overrides)
        variant = method.variant(config.model_dump())
    return method.name, variant


def _run(method: str, variant: str, seed: int, overrides: Mapping[str, Any]) -> dict[str, Any]:
    name = title(method, variant)
    trained = {"method": method, "reward": variant, "step": "train_generator", "source": "", "digest": ""}
    return {**trained, **_names(name, seed), "overrides": dict(overrides)}


def _entrants(
    runs: Sequence[Mapping[str, Any]],
    locations: Sequence[str],
    source: str,
    patch_size: tuple[int, int],
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the runs of entrants, under names that no other run has; their seed is that of the first run."""
    from histoforge.tasks.entrants import check_entrant, distinct, real_classes

    classes = real_classes(source, preset, overrides, seed) if locations else []
    entered: list[dict[str, Any]] = []
    for location in map(str, locations):
        entrant = check_entrant(location, classes, patch_size, seed=seed, preset=preset, overrides=overrides)
        name = distinct(entrant.name, [run["title"] for run in (*runs, *entered)])
        step_only = step_overrides(STEPS[entrant.step], overrides)
        imported = {"method": "", "reward": "", "step": entrant.step, "source": location, "digest": entrant.digest}
        entered.append({**imported, **_names(name, runs[0]["seed"]), "overrides": step_only})
    return entered


def _names(name: str, seed: int) -> dict[str, Any]:
    """Return title, seed and the names of the two arms of a run."""
    arm = f"{re.sub('[^a-z0-9]', '_', name)}_s{seed}"
    return {"title": name, "seed": seed, "arm": arm, "both": f"{arm}_both"}
