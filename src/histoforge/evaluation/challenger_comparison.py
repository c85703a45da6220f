"""Compare champion and challenger on the same test patients."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
from histoforge.models.gate import judge_difference
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.steps.publish_model_config import PublishModelConfig
from histoforge.training.device import resolve_device, resolve_precision


@dataclass(frozen=True)
class _Side:
    """A version's probabilities on the test split, [N, C] per classifier, and digests of the patients it has seen."""

    probabilities: list[Probabilities]
    seen: list[str]


class ChallengerComparison:
    """The challenger's predictions on the test split, and its comparison with published versions."""

    def __init__(self, config: PublishModelConfig, patches: PatchSet, challenger: Challenger) -> None:
        self.config, self.challenger = config, challenger
        self.device = resolve_device(config.device)
        self.test = patches.split("test")
        self.units: TestUnits = test_units(patches)
        self.names = self.units.of(self.test)
        self._patches = DevicePatches.load(self.test, self.device)
        self.mine = _Side(self._probabilities(challenger.path, "the patch set"), seen_units(patches, self.units))
        self._sides: dict[str, _Side] = {}

    @property
    def n_units(self) -> int:
        """Number of patients (slides, images) in the test split."""
        return len(set(self.names))

    def scores(self) -> dict[str, CardScore]:
        """All scores of the challenger, as means over its seeds with their intervals."""
        bootstrap = self._bootstrap(self.names)
        every = np.ones(len(self.test), bool)
        found = {name: bootstrap.interval(self._statistic(self.mine, name, every)) for name in SCORES}
        return {name: CardScore(value=one.value, low=one.low, high=one.high) for name, one in found.items()}

    def compare(self, registry: ModelStore, own: str, version: str, champion: str) -> Verdict:
        """Compare two versions on the test patients that neither was trained on.

        Args:
            registry: the registry that stores the versions.
            own: the challenger's version.
            version: the version to replace the champion: the challenger's, or one published in the meantime.
            champion: the champion's version.

        Raises:
            ModelError: if one of them is damaged, or has another kind, classes or patch size.
        """
        first, second = (self.mine if one == own else self._side(registry, one) for one in (version, champion))
        config, unit = self.config, self.units.name
        fair = ~np.isin(unit_digests(self.names), [*first.seen, *second.seen])
        names = self.names[fair]
        count = len(set(names))
        if count < config.fewest_patients:
            also = f" ({self.n_units - count} others trained the champion)" if count < self.n_units else ""
            reason = f"only {count} test {unit} can be compared{also}, and {config.fewest_patients} are needed"
            return Verdict(False, reason, {"score": config.score, "n": count})
        effect: Effect = self._bootstrap(names).difference(
            self._statistic(first, config.score, fair), self._statistic(second, config.score, fair)
        )
        return judge_difference(effect, config.score, config.margin, config.fewest_patients, unit)

    def _side(self, registry: ModelStore, version: str) -> _Side:
        if version not in self._sides:
            card = registry.card(version)
            check_comparable(card, self.challenger)
            with tempfile.TemporaryDirectory() as folder:
                model = registry.fetch(version, Path(folder) / "version")
                self._sides[version] = _Side(self._probabilities(model, f"the challenger to '{card.name}'"), card.seen)
        return self._sides[version]

    def _statistic(self, side: _Side, name: str, rows: NDArray[np.bool_]) -> Statistic:
        labels = self.test.labels[rows]
        return mean_statistic([statistic(name, one[rows], labels) for one in side.probabilities])

    def _bootstrap(self, names: NDArray[np.str_]) -> PatientBootstrap:
        return PatientBootstrap(names, self.config.resamples, self.config.seed, self.config.confidence)

    def _probabilities(self, path: Path, what: str) -> list[Probabilities]:
        dtype = resolve_precision(self.config.precision, self.device)
        classifiers: list[Classifier] = load(path, self.device)
        for classifier in classifiers:
            classifier.check_fits(self.test.classes, self.test.patch_size, what)
        return [predict(one, self._patches, self.config.batch_size, dtype) for one in classifiers]


def unit_digests(names: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the patient digests of a card: the first 16 digits of the SHA-256 of each name [N], not the name."""
    return np.array([hashlib.sha256(str(name).encode()).hexdigest()[:16] for name in names], dtype="<U16")


def seen_units(patches: PatchSet, units: TestUnits) -> list[str]:
    """Return the sorted digests of the patients (slides, images) of the training and validation splits."""
    if not units.column:
        return []
    used = patches.where(np.flatnonzero(patches.index["split"].isin(["train", "val"]).to_numpy()))
    return sorted(set(unit_digests(units.of(used)).tolist()))


def unit_counts(patches: PatchSet, units: TestUnits) -> dict[str, dict[str, int]]:
    """Count patients (slides, images) by split and class name; '' stands for all classes together."""
    found: dict[str, dict[str, int]] = {}
    for split in patches.info.counts:
        part = patches.split(split)
        names, labels = units.of(part), part.labels
        own = {name: len(set(names[labels == label])) for label, name in enumerate(patches.classes)}
        found[split] = {"": len(set(names)), **own}
    return found
