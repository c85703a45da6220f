"""Open the challenger and its evaluation, and check them against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from histoforge.classifiers.arms import ARM_NAME, load_arm, load_classifier, read_arm, seed_model
from histoforge.classifiers.network import Classifier
from histoforge.core.digests import digest_json
from histoforge.core.errors import ModelError, PatchSetError, SettingsError, SourceError
from histoforge.evaluation.arm_inputs import open_parts, place_text
from histoforge.evaluation.findings import InputDigests
from histoforge.evaluation.publishable_results import PublishableResults, read_results
from histoforge.models import ModelCard
from histoforge.models.versions import file_digests
from histoforge.patches import PatchSet
from histoforge.patches.matching import PatchFormat, check_same_format
from histoforge.training.model_files import INFO_NAME, read_model_info


@dataclass(frozen=True)
class Challenger:
    """A model proposed for publication.

    Attributes:
        path: an arm directory or a classifier's model directory.
        form: 'arm' or 'classifier'.
        description: arm, method, seeds, config, classes, patch_size, mpp, digests, counts, code_version.
        models: digests of its classifiers.
        digest: SHA-256 over the names and digests of its files.
        parts: number of directories of its arm, of which it is the first fold and generator.
    """

    path: Path
    form: str
    description: Mapping[str, Any]
    models: list[str]
    digest: str
    parts: int = 1

    @property
    def fold(self) -> int:
        """The fold that it was trained on; -1 for a single split."""
        return int(self.description.get("fold", -1))

    @property
    def place(self) -> str:
        """Its fold and the seed of its generator in words; '' if it has neither."""
        return place_text(self.description.get("generator_seed"), self.fold)

    @property
    def synthetic(self) -> bool:
        """True if it was trained on synthetic patches."""
        return "synthetic" in self.description["digests"]


def open_challenger(paths: Path | Sequence[Path], patches: PatchSet) -> Challenger:
    """Open a model; of an arm of several folds and generators, its first directory.

    Raises:
        SettingsError: if there is none, or there are several that are not one arm.
        ModelError: if it is not a classifier, is damaged, or has other classes or another patch size than `patches`.
        PatchSetError: if it was trained on another patch set, so that its patients may be in this test split.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    path = _first_part(given)
    if (path / ARM_NAME).is_file():
        form, arm = "arm", read_arm(path)
        info = read_model_info(seed_model(path), "classifier")
        models = [run["digest"] for run in arm["runs"]]
    else:
        form, info = "classifier", read_model_info(path)
        if info.kind != "classifier":
            raise ModelError(f"{path} is a {info.kind}, and classifiers are published: name an arm or a classifier.")
        arm = {"arm": info.training.get("arm", ""), "seeds": [info.training.get("seed", 0)], "counts": {}}
        models = [info.digest]
    description = {
        **arm,
        "method": info.method,
        "config": info.config,
        "classes": info.classes,
        "patch_size": info.patch_size,
        "mpp": info.mpp,
        "digests": info.digests,
        "code_version": info.code_version,
    }
    trained_on = info.digests.get("patches", "")
    if trained_on != patches.digest:
        raise PatchSetError(
            f"{path} was trained on another patch set ({trained_on[:12] or 'unknown'}) than the one given "
            f"({patches.digest[:12]}), whose test patients it may know: give the one that it was trained on."
        )
    return Challenger(path, form, description, models, digest_json(file_digests(path)), len(given))


def _first_part(paths: Sequence[Path]) -> Path:
    """Return the directory of the first generator and fold of an arm; other models are given alone."""
    if not paths:
        raise SettingsError("publish_model has no challenger: give an arm that train_classifier made, or its parts.")
    if len(paths) == 1:
        return Path(paths[0])
    arms = open_parts(paths)
    if len(arms) > 1:
        raise SettingsError(
            f"publish_model has {len(arms)} challengers, '{arms[0].name}' and others: give one arm, of which there may "
            "be several folds and generators."
        )
    return arms[0].parts[0].path


def open_results(path: Path | None, challenger: Challenger, patches: PatchSet) -> PublishableResults:
    """Return the results of the challenger's evaluation at `path` (metrics.json); empty results without a path.

    Raises:
        SourceError: it is not an evaluation's, or it is of other patches or other models, or audits other synthetic
            patches.
    """
    if path is None:
        return PublishableResults(inputs=InputDigests(patches=patches.digest), arms={}, generative=[])
    results = read_results(path)
    inputs = results.inputs
    if inputs.patches != patches.digest:
        raise SourceError(
            f"The results {path} are of other test patients (patch set {inputs.patches[:12]}) than the patch set given "
            f"({patches.digest[:12]}): evaluate the challenger on that one."
        )
    if not set(challenger.models) <= results.models:
        raise SourceError(
            f"The results {path} are of {', '.join(results.arms)} and not of the models in {challenger.path}: evaluate "
            "these."
        )
    if challenger.synthetic and inputs.selected not in ("", challenger.description["digests"]["synthetic"]):
        raise SourceError(
            f"The results {path} audit other synthetic patches ({inputs.selected[:12]}) than those that trained "
            f"{challenger.path}: evaluate it with its own selection or pool."
        )
    return results


def load(path: Path, device: torch.device) -> list[Classifier]:
    """Return the classifiers of an arm, or the one of a model directory."""
    if (path / INFO_NAME).is_file():
        return [load_classifier(path, device)]
    return load_arm(path, device)


def check_comparable(card: ModelCard, challenger: Challenger) -> None:
    """Check that a champion and the challenger do the same task.

    Raises:
        ModelError: if the champion is of another kind, or has other classes or another patch size.
    """
    champion = f"The champion of '{card.name}'"
    if card.kind != "classifier":
        raise ModelError(f"{champion} is a {card.kind}, and the challenger is a classifier: choose another name.")
    patches = PatchFormat(challenger.description["classes"], challenger.description["patch_size"])
    check_same_format(f"{champion} was trained on", card, "the challenger", patches, "choose another name")
