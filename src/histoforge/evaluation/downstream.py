"""Test classifiers trained on synthetic patches on the real test split, to show what their generator is good for."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

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
from histoforge.metrics.results import Statistic
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches


class TestSplit:
    """The real test split, read for the classifiers of one arm after the other.

    Attributes:
        patches: the split.
        units: the units that intervals draw: 'patients', 'slides' or 'images'.
        n_units: number of units.
    """

    __test__ = False

    def __init__(
        self,
        real: PatchSet,
        device: torch.device,
        dtype: torch.dtype,
        *,
        batch_size: int,
        resamples: int,
        confidence: float,
        seed: int,
    ) -> None:
        """Read the split.

        Args:
            device, dtype, batch_size: how classifiers compute.
            resamples, confidence, seed: of the bootstrap over its units.

        Raises:
            PatchSetError: if there is no test split.
        """
        self.patches = real.split("test")
        units = test_units(real)
        names = units.of(self.patches)
        self.units, self.n_units = units.name, len(set(names))
        self._on_device = DevicePatches.load(self.patches, device)
        self._bootstrap = PatientBootstrap(names, resamples, seed, confidence)
        self._batch_size, self._dtype = batch_size, dtype

    def predictions(self, arm: Path) -> list[Predictions]:
        """Return the predictions of each classifier of an arm.

        Raises:
            ModelError: if the arm is damaged, or has other classes or another patch size.
        """
        predictions = []
        for classifier in load_arm(arm, self._on_device.device):
            classifier.check_fits(self.patches.classes, self.patches.patch_size, "the patch set")
            probabilities = predict(classifier, self._on_device, self._batch_size, self._dtype)
            predictions.append(Predictions(probabilities, self.patches.labels))
        name = read_arm(arm)["arm"]
        say(f"leaderboard: {len(predictions)} classifiers of {name} predicted {len(self.patches)} test patches")
        return predictions

    def downstream(self, use: Use, by_seed: dict[int, list[Predictions]]) -> Downstream:
        """Return the scores of classifiers, keyed by the seed that groups them."""
        classifiers = [predictions for of_seed in by_seed.values() for predictions in of_seed]
        weights = np.ones((1, len(self.patches)))

        def over_seeds(score: Callable[[Predictions], float]) -> Spread:
            return Spread.of(
                {seed: _finite_mean([score(each) for each in of_seed]) for seed, of_seed in by_seed.items()}
            )

        names = ("accuracy", "balanced_accuracy")
        accuracy, macro = (
            self._bootstrap.interval(mean_statistic([_statistic(each, name) for each in classifiers])) for name in names
        )
        return Downstream(
            use=use,
            accuracy=over_seeds(lambda each: each.score("accuracy", weights)[0]),
            macro_accuracy=over_seeds(lambda each: each.score("balanced_accuracy", weights)[0]),
            accuracy_between=_bounds(accuracy),
            macro_between=_bounds(macro),
            classes={
                name: over_seeds(partial(_class_accuracy, label)) for label, name in enumerate(self.patches.classes)
            },
            classifiers=len(classifiers),
            note=accuracy.note or macro.note,
        )


def score_arms(arms: Sequence[Path], scored: Sequence[Scored], split: TestSplit) -> dict[str, dict[str, Downstream]]:
    """Return the downstream scores of each generator name, by use.

    An arm belongs to the generator whose samples it was trained on; if these were selected, it belongs to the
    generator in its name, as `plan_benchmark` names arms.

    Raises:
        SettingsError: if an arm belongs to none of the generators, or two arms to the same seed of one.
    """
    predictions: dict[str, dict[Use, dict[int, list[Predictions]]]] = {}
    for path in map(Path, arms):
        name, seed, use = _source(path, scored)
        seeds = predictions.setdefault(name, {}).setdefault(use, {})
        if seed in seeds:
            raise SettingsError(
                f"Two arms were trained on the samples of {name}, seed {seed}, the same way: leave out one of them "
                f"({path})."
            )
        seeds[seed] = split.predictions(path)
    return {
        name: {use: split.downstream(use, seeds) for use, seeds in by_use.items()}
        for name, by_use in predictions.items()
    }


def score_baseline(arm: Path, split: TestSplit) -> Downstream:
    """Return the scores of an arm that was trained on real patches only."""
    seeds = sorted(read_arm(arm)["seeds"])
    return split.downstream("real", {seed: [each] for seed, each in zip(seeds, split.predictions(arm), strict=True)})


def _source(path: Path, scored: Sequence[Scored]) -> tuple[str, int, Use]:
    """Return the name and seed of the generator whose patches trained an arm, and the arm's use."""
    arm = read_arm(path)
    digest = arm.get("digests", {}).get("synthetic", "")
    use: Use = arm.get("config", {}).get("use") or ("both" if digest else "real")
    for scores in (each.scores for each in scored):
        planned = f"{re.sub('[^a-z0-9]', '_', scores.name)}_s{scores.seed}"
        if digest == scores.digests.samples or arm["arm"] in (planned, f"{planned}_both"):
            return scores.name, scores.seed, use
    raise SettingsError(
        f"The arm {arm['arm']} ({path}) was trained on synthetic patches of none of the generators here: give the "
        "scores of its generator too, or name it as baseline if it was trained on real patches alone."
    )


def _class_accuracy(label: int, predictions: Predictions) -> float:
    """Return the share of a class's patches that are found."""
    return float(predictions.per_class("sensitivity", np.ones((1, len(predictions.labels))))[0, label])


def _statistic(predictions: Predictions, name: str) -> Statistic:
    return lambda weights: predictions.score(name, weights)


def _finite_mean(values: Sequence[float]) -> float | None:
    mean = float(np.mean(values))
    return mean if np.isfinite(mean) else None


def _bounds(interval: Interval) -> tuple[float, float] | None:
    return None if interval.low is None or interval.high is None else (interval.low, interval.high)
