"""Comparison of champion and challenger on the same test patients."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.classifiers.network import Classifier
from histoforge.evaluation.challenger import Challenger, check_comparable, load
from histoforge.evaluation.inputs import TestUnits, test_units
from histoforge.evaluation.learning import CHECKED, LearningTest, learning_score
from histoforge.evaluation.study import Probabilities, predict
from histoforge.metrics.classification import SCORES, statistic
from histoforge.metrics.crossed import crossed_difference, fixed_difference
from histoforge.metrics.crossed_mean import crossed_mean
from histoforge.metrics.results import finite
from histoforge.metrics.scored_runs import Jackknife, ScoredRuns
from histoforge.models import ModelStore, Verdict
from histoforge.models.card import CardScore
from histoforge.models.gate import check_difference, check_learning
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches


@dataclass(frozen=True)
class _Predictions:
    """A version's predictions on the test split.

    Attributes:
        probabilities: class probabilities of each of its classifiers, [N, C].
        seen: digests of the patients that it was trained or validated on.
    """

    probabilities: list[Probabilities]
    seen: list[str]


class ChallengerComparison:
    """The challenger's predictions on the test split, and its comparison with published versions.

    Args:
        patches: the patch set that the challenger was trained on.
        challenger: the model proposed for publication.
        device, dtype: where and in which precision the classifiers run.
        batch_size: number of patches per forward pass.
        seed: seed of the groups in which many test patients are left out.
        confidence: coverage of the intervals.

    Attributes:
        test: the test split.
        units: the patients (slides, images) of the patch set.
        n_units: number of patients in the test split.
    """

    def __init__(
        self,
        patches: PatchSet,
        challenger: Challenger,
        *,
        device: torch.device,
        dtype: torch.dtype,
        batch_size: int,
        seed: int,
        confidence: float,
    ) -> None:
        self.challenger, self.device, self.dtype, self.batch_size = challenger, device, dtype, batch_size
        self.test = patches.split("test")
        self.units: TestUnits = test_units(patches)
        self._names = self.units.of(self.test)
        self.n_units = len(set(self._names))
        self._seed, self._confidence = seed, confidence
        self._patches = DevicePatches.load(self.test, device)
        self._predictions = _Predictions(
            self._predict(challenger.path, "the patch set"), seen_units(patches, self.units)
        )
        self._published: dict[str, _Predictions] = {}

    def scores(self) -> dict[str, CardScore]:
        """Return all scores of the challenger, as means over its seeds with their intervals."""
        scores = {}
        for name in SCORES:
            mean = crossed_mean(self._runs(self._predictions, name), self._confidence)
            low, high = mean.low, mean.high
            if low is not None and high is not None:
                low, high = max(low, 0.0), high if name == "brier" else min(high, 1.0)
            scores[name] = CardScore(value=mean.value, low=low, high=high)
        return scores

    def learned(self, score: str) -> Verdict:
        """Decide whether the challenger is shown to have learned anything, if `score` compares it."""
        name = learning_score(score)
        test = LearningTest(self.test.labels, self.test.classes, Jackknife(self._names, self._seed))
        runs = {checked: self._runs(self._predictions, checked) for checked in CHECKED}
        above = test.above(runs, self._confidence)[name]
        value = finite(float(runs[name].scores.mean()))
        return check_learning(above, name, value, test.constant.scores[name], self.units.name)

    def compare(
        self,
        store: ModelStore,
        challenger: str,
        version: str,
        champion: str,
        *,
        score: str,
        margin: float,
        min_units: int,
    ) -> Verdict:
        """Compare two versions on the test patients that neither was trained on, over patients and training runs.

        A version of one classifier does not show how much training moves the score. The classifiers are then compared
        as they are, over patients alone.

        Args:
            store: the store of the versions.
            challenger: the challenger's version.
            version: the version to replace the champion: the challenger's, or one published in the meantime.
            champion: the champion's version.
            score: name of the score to compare.
            margin: how much lower the score may be, 0 or more.
            min_units: minimum number of test patients.

        Raises:
            ModelError: if one of them is damaged, or has another kind, classes or patch size.
        """
        new, old = (self._predictions if name == challenger else self._of(store, name) for name in (version, champion))
        unseen = ~np.isin(unit_digests(self._names), [*new.seen, *old.seen])
        names, unit = self._names[unseen], self.units.name
        count = len(set(names))
        if count < min_units:
            seen = f" ({self.n_units - count} others trained the champion)" if count < self.n_units else ""
            reason = f"only {count} test {unit} can be compared{seen}, and {min_units} are needed"
            return Verdict(False, reason, {"score": score, "n": count})
        first, second = (self._runs(predictions, score, unseen) for predictions in (new, old))
        single = min(len(first.scores), len(second.scores)) == 1
        compare = fixed_difference if single else crossed_difference
        return check_difference(compare(first, second, self._confidence), score, margin, min_units, unit)

    def _of(self, store: ModelStore, version: str) -> _Predictions:
        """Return the predictions of a published version."""
        if version not in self._published:
            card = store.card(version)
            check_comparable(card, self.challenger)
            with tempfile.TemporaryDirectory() as folder:
                model = store.fetch(version, Path(folder) / "version")
                probabilities = self._predict(model, f"the challenger to '{card.name}'")
            self._published[version] = _Predictions(probabilities, card.seen)
        return self._published[version]

    def _runs(self, predictions: _Predictions, name: str, rows: NDArray[np.bool_] | None = None) -> ScoredRuns:
        """Score each classifier on the chosen test patches, with all patients and without each of them."""
        chosen = np.ones(len(self.test), bool) if rows is None else rows
        labels = self.test.labels[chosen]
        return Jackknife(self._names[chosen], self._seed).score(
            [statistic(name, probabilities[chosen], labels) for probabilities in predictions.probabilities]
        )

    def _predict(self, path: Path, source: str) -> list[Probabilities]:
        classifiers: list[Classifier] = load(path, self.device)
        for classifier in classifiers:
            classifier.check_fits(self.test.classes, self.test.patch_size, source)
        return [predict(classifier, self._patches, self.batch_size, self.dtype) for classifier in classifiers]


def unit_digests(names: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the patient digests of a card: the first 16 digits of the SHA-256 of each name [N], not the name."""
    return np.array([hashlib.sha256(str(name).encode()).hexdigest()[:16] for name in names], dtype="<U16")


def seen_units(patches: PatchSet, units: TestUnits) -> list[str]:
    """Return the sorted digests of the patients (slides, images) of the training and validation splits."""
    if not units.column:
        return []
    used = patches.where(np.flatnonzero(patches.index["split"].isin(["train", "val"]).to_numpy()))
    return sorted(set(unit_digests(units.of(used)).tolist()))
