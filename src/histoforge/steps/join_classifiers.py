"""Collect the classifiers that were trained together with generators into one arm."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from histoforge.classifiers.arm_files import join_classifiers
from histoforge.core.errors import ModelError
from histoforge.generators.history_file import FILE_NAME as HISTORY
from histoforge.generators.joining import CLASSIFIER, PICTURES
from histoforge.generators.methods import METHODS
from histoforge.steps.join_classifiers_config import JoinClassifiersConfig, JoinClassifiersSummary
from histoforge.training.model_files import read_model_info


def run(config: JoinClassifiersConfig, *, generators: Sequence[Path], model: Path) -> JoinClassifiersSummary:
    """Copy the classifier of each generator into one arm, which `evaluate` treats like any other arm.

    Args:
        config: the settings.
        generators: generators of a method that also trains a classifier, trained on the same patch set with the same
            settings, one per seed.
        model: the arm directory to write.

    Raises:
        ModelError: if a generator is damaged or has no classifier, they do not belong together, or a seed repeats.
    """
    paths = [Path(path) for path in generators]
    methods = [_method(path) for path in paths]
    name = config.arm or methods[0]
    classifiers = [path / CLASSIFIER for path in paths]
    arm = join_classifiers(classifiers, Path(model), name, {"network": name}, _copy_record)
    runs = arm["runs"]
    return JoinClassifiersSummary(
        arm=arm["arm"],
        seeds=arm["seeds"],
        val_accuracy=sum(run["val_accuracy"] for run in runs) / len(runs),
        seconds=round(sum(run["seconds"] for run in runs), 2),
    )


def _copy_record(classifier: Path, folder: Path) -> None:
    """Copy history and pictures of the generator that was trained with a classifier, for the report."""
    generator = classifier.parent
    folder.mkdir(parents=True)
    if (generator / HISTORY).is_file():
        shutil.copyfile(generator / HISTORY, folder / HISTORY)
    if (generator / PICTURES).is_dir():
        shutil.copytree(generator / PICTURES, folder / PICTURES)


def _method(path: Path) -> str:
    """Return the method of a generator after checking that it also trains a classifier."""
    method = read_model_info(path, "generator").method
    if method not in METHODS or not METHODS[method].classifies:
        able = ", ".join(name for name, entry in METHODS.items() if entry.classifies)
        raise ModelError(
            f"{path} was trained with the method '{method}', which trains no classifier: give generators of {able}, or "
            "train classifiers with train_classifier."
        )
    return method
