"""Which generators a benchmark trains: methods x seeds, and where a method trains one network a class, x classes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from histoforge.core.errors import SettingsError
from histoforge.core.settings import nearest
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.methods import METHODS
from histoforge.steps.config.train_generator import own_config
from histoforge.steps.registry import STEPS, step_config

MOST_RUNS = 36
"""Kubeflow hands a task the names of all that a loop collected as one argument, which Linux ends at 128 KiB."""


def plan_benchmark(
    methods: Sequence[str],
    generator_seeds: int,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
    downstream_seeds: int = 0,
    patch_size: str = "",
) -> list[dict[str, Any]]:
    """The runs of a benchmark: a generator and its two classifiers each.

    All that the runs would ask of `train_generator` and `train_classifier` is checked here, before anything is trained.

    Args:
        methods: names of methods; one with rewards may name one, as in 'rleo:literal', and has its default else.
        generator_seeds: generators to train by each method, with the seeds `seed`, `seed` + 1, …
        seed: the first.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value.
        downstream_seeds: as the pipeline has it for the classifiers that judge a generator; 0 as the preset says.
        patch_size: as the pipeline has it for `preprocess`; '' as the preset says.

    Returns:
        For each run: `title` (as the leaderboard shows it, 'rleo:literal'; kfp keeps `name` for a loop's item itself),
        `method`, `reward` ('' for a method without one), `seed`, and the names of its arms: `arm` (synthetic patches
        alone) and `both` (with the real ones).

    Raises:
        SettingsError: an empty list, a method or reward that there is not, too many runs, settings that a step does
            not take, or a patch size that a method cannot make.
    """
    names = dict.fromkeys(_resolved(one, preset, overrides) for one in _listed(methods))
    if generator_seeds < 1:
        raise SettingsError(f"'generator_seeds' is {generator_seeds}: give at least 1.")
    if len(names) * generator_seeds > MOST_RUNS:
        raise SettingsError(
            f"{len(names)} methods with {generator_seeds} seeds each are {len(names) * generator_seeds} generators, "
            f"and a benchmark takes {MOST_RUNS}: name fewer methods or lower generator_seeds."
        )
    runs = [_run(method, reward, seed + i) for method, reward in names for i in range(generator_seeds)]
    cutting: Any = step_config(STEPS["preprocess"], preset, overrides, {"patch_size": patch_size, "source": "any"})
    for run in runs:
        METHODS[run["method"]].check_size(settings(run, preset, overrides), cutting.size)
    for use in ("synthetic", "both"):
        given = {"arm": runs[0]["arm"], "use": use, "seeds": downstream_seeds, "seed": seed}
        step_config(STEPS["train_classifier"], preset, overrides, given)
    return runs


def plan_classes(
    run: Mapping[str, Any], classes: Sequence[str], preset: str, overrides: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The trainings that make a run's generator: `method`, `reward`, `seed` and `only_class` of each.

    One a class where the method trains a network a class, so that they can be trained side by side, and else one with
    `only_class` ''. A class that `overrides` name is left alone.

    Args:
        run: `method`, `reward` and `seed`, as `plan_benchmark` gives them.
        classes: names of the classes of the patch set.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value.
    """
    own = settings(run, preset, overrides)
    apart = own.class_wise and not getattr(own, "only_class", "")
    one = {name: run[name] for name in ("method", "reward", "seed")}
    return [{**one, "only_class": name} for name in (classes if apart else [""])]


def settings(run: Mapping[str, Any], preset: str, overrides: Mapping[str, Any]) -> GeneratorConfig:
    """The method's own settings in a run.

    Raises:
        SettingsError: the method or the step does not take them.
    """
    given = {name: run[name] for name in ("method", "reward", "seed") if run[name]}
    config: Any = step_config(STEPS["train_generator"], preset, overrides, given)
    return own_config(config)


def _listed(methods: Sequence[str]) -> list[str]:
    if isinstance(methods, str) or not methods or not all(isinstance(one, str) and one for one in methods):
        raise SettingsError(f"'methods' is {methods!r}: give a list of names, such as ['dcgan', 'rleo:literal'].")
    return list(methods)


def _resolved(text: str, preset: str, overrides: Mapping[str, Any]) -> tuple[str, str]:
    """Method and reward, also where the reward is the default; so that one run is not planned under two names."""
    method, _, reward = text.partition(":")
    if method not in METHODS:
        raise SettingsError(
            f"There is no method '{method}'{nearest(method, METHODS)}: choose from {', '.join(METHODS)}."
        )
    if "reward" in METHODS[method].config_class.model_fields:
        own = settings({"method": method, "reward": reward, "seed": 0}, preset, overrides)
        return method, str(own.model_dump()["reward"])
    if reward:
        raise SettingsError(f"'{text}' asks for a reward, and the method '{method}' has none: write '{method}'.")
    return method, ""


def _run(method: str, reward: str, seed: int) -> dict[str, Any]:
    title = f"{method}:{reward}" if reward else method
    arm = f"{re.sub('[^a-z0-9]', '_', title)}_s{seed}"
    return {"title": title, "method": method, "reward": reward, "seed": seed, "arm": arm, "both": f"{arm}_both"}
