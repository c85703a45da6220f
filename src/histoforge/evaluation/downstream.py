"""Test classifiers trained on synthetic patches on the real test split, to show what their generator is good for."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from histoforge.classifiers.arms import load_arm, read_arm
from histoforge.core.errors import SettingsError
from histoforge.core.progress import say
from histoforge.evaluation.inputs import test_units
from histoforge.evaluation.leaderboard_entries import Scored
from histoforge.evaluation.leaderboard_findings import Downstream, Spread, Use
from histoforge.evaluation.study import predict
from histoforge.metrics.bootstrap import Interval, PatientBootstrap, mean_statistic
from histoforge.metrics.classification import Predictions
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.steps.leaderboard_config import LeaderboardConfig
from histoforge.training.device import resolve_precision


class TestSplit:
    """The real test split, read for the classifiers of one arm after the other.

    Attributes:
        patches: the split.
        units: the units that intervals draw: 'patients', 'slides' or 'images'.
        n_units: number of units.
    """

    __test__ = False

    def __init__(self, real: PatchSet, config: LeaderboardConfig, device: torch.device) -> None:
        """Read the split.

        Raises:
            PatchSetError: if there is no test split.
        """
        self.patches = real.split("test")
        units = test_units(real)
        names = units.of(self.patches)
        self.units, self.n_units = units.name, len(set(names))
        self._on_device = DevicePatches.load(self.patches, device)
        self._bootstrap = PatientBootstrap(names, config.resamples, config.seed, config.confidence)
        self._config, self._device = config, device

    def predictions(self, arm: Path) -> list[Predictions]:
        """Return the predictions of each classifier of an arm.

        Raises:
            ModelError: if the arm is damaged, or has other classes or another patch size.
        """
        dtype = resolve_precision(self._config.precision, self._device)
        found = []
        for classifier in load_arm(arm, self._device):
            classifier.check_fits(self.patches.classes, self.patches.patch_size, "the patch set")
            probabilities = predict(classifier, self._on_device, self._config.batch_size, dtype)
            found.append(Predictions(probabilities, self.patches.labels))
        say(f"leaderboard: {len(found)} classifiers of {read_arm(arm)['arm']} read {len(self.patches)} test patches")
        return found

    def downstream(self, use: Use, by_seed: dict[int, list[Predictions]]) -> Downstream:
        """Return the scores of classifiers, keyed by the seed that groups them."""
        every = [one for found in by_seed.values() for one in found]
        once = np.ones((1, len(self.patches)))

        def over_seeds(value: Any) -> Spread:
            return Spread.of({seed: _known([value(one) for one in found]) for seed, found in by_seed.items()})

        names = ("accuracy", "balanced_accuracy")
        accuracy, macro = (
            self._bootstrap.interval(mean_statistic([_statistic(one, name) for one in every])) for name in names
        )
        return Downstream(
            use=use,
            accuracy=over_seeds(lambda one: one.score("accuracy", once)[0]),
            macro_accuracy=over_seeds(lambda one: one.score("balanced_accuracy", once)[0]),
            accuracy_between=_between(accuracy),
            macro_between=_between(macro),
            classes={
                name: over_seeds(lambda one, place=place: one.per_class("sensitivity", once)[0, place])
                for place, name in enumerate(self.patches.classes)
            },
            classifiers=len(every),
            note=accuracy.note or macro.note,
        )


def of_arms(arms: Sequence[Path], scored: Sequence[Scored], split: TestSplit) -> dict[str, dict[str, Downstream]]:
    """Return the downstream scores of each generator name, by use.

    An arm belongs to the generator whose samples it was trained on; if these were selected, it belongs to the
    generator in its name, as `plan_benchmark` names arms.

    Raises:
        SettingsError: if an arm belongs to none of the generators, or two arms to the same seed of one.
    """
    found: dict[str, dict[Use, dict[int, list[Predictions]]]] = {}
    for path in map(Path, arms):
        name, seed, use = _owner(path, scored)
        seeds = found.setdefault(name, {}).setdefault(use, {})
        if seed in seeds:
            raise SettingsError(
                f"Two arms were trained on the samples of {name}, seed {seed}, the same way: leave out one of them "
                f"({path})."
            )
        seeds[seed] = split.predictions(path)
    return {name: {use: split.downstream(use, seeds) for use, seeds in own.items()} for name, own in found.items()}


def of_baseline(arm: Path, split: TestSplit) -> Downstream:
    """Return the scores of an arm that was trained on real patches only."""
    seeds = sorted(read_arm(arm)["seeds"])
    return split.downstream("real", {seed: [one] for seed, one in zip(seeds, split.predictions(arm), strict=True)})


def _owner(path: Path, scored: Sequence[Scored]) -> tuple[str, int, Use]:
    facts = read_arm(path)
    digest = facts.get("digests", {}).get("synthetic", "")
    use: Use = facts.get("config", {}).get("use") or ("both" if digest else "real")
    for one in (each.scores for each in scored):
        planned = f"{re.sub('[^a-z0-9]', '_', one.name)}_s{one.seed}"
        if digest == one.digests.samples or facts["arm"] in (planned, f"{planned}_both"):
            return one.name, one.seed, use
    raise SettingsError(
        f"The arm {facts['arm']} ({path}) was trained on synthetic patches of none of the generators here: give the "
        "scores of its generator too, or name it as baseline if it was trained on real patches alone."
    )


def _statistic(predictions: Predictions, name: str) -> Any:
    return lambda weights: predictions.score(name, weights)


def _known(values: Sequence[float]) -> float | None:
    mean = float(np.mean(values))
    return mean if np.isfinite(mean) else None


def _between(found: Interval) -> tuple[float, float] | None:
    return None if found.low is None or found.high is None else (found.low, found.high)
