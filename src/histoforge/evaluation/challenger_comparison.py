"""Comparison of champion and challenger on the same test patients."""

import hashlib
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.classifiers.network import Classifier
from histoforge.evaluation.challenger import Challenger, check_comparable, load
from histoforge.evaluation.inputs import TestUnits, test_units
from histoforge.evaluation.study import Probabilities, predict
from histoforge.metrics.bootstrap import PatientBootstrap, mean_statistic
from histoforge.metrics.classification import SCORES, statistic
from histoforge.metrics.results import Effect, Statistic
from histoforge.models import ModelStore, Verdict
from histoforge.models.card import CardScore
from histoforge.models.gate import check_difference
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
        resamples, seed, confidence: settings of the bootstrap over test patients.

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
        resamples: int,
        seed: int,
        confidence: float,
    ) -> None:
        self.challenger, self.device, self.dtype, self.batch_size = challenger, device, dtype, batch_size
        self.test = patches.split("test")
        self.units: TestUnits = test_units(patches)
        self._names = self.units.of(self.test)
        self.n_units = len(set(self._names))
        self._bootstrap = partial(PatientBootstrap, n_resamples=resamples, seed=seed, confidence=confidence)
        self._patches = DevicePatches.load(self.test, device)
        self._predictions = _Predictions(
            self._predict(challenger.path, "the patch set"), seen_units(patches, self.units)
        )
        self._published: dict[str, _Predictions] = {}

    def scores(self) -> dict[str, CardScore]:
        """Return all scores of the challenger, as means over its seeds with their intervals."""
        bootstrap, all_rows = self._bootstrap(self._names), np.ones(len(self.test), bool)
        scores = {}
        for name in SCORES:
            interval = bootstrap.interval(self._statistic(self._predictions, name, all_rows))
            scores[name] = CardScore(value=interval.value, low=interval.low, high=interval.high)
        return scores

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
        """Compare two versions on the test patients that neither was trained on.

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
        effect: Effect = self._bootstrap(names).difference(
            self._statistic(new, score, unseen), self._statistic(old, score, unseen)
        )
        return check_difference(effect, score, margin, min_units, unit)

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

    def _statistic(self, predictions: _Predictions, name: str, rows: NDArray[np.bool_]) -> Statistic:
        labels = self.test.labels[rows]
        return mean_statistic(
            [statistic(name, probabilities[rows], labels) for probabilities in predictions.probabilities]
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
