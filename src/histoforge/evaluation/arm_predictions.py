"""The predictions of all arms on the test split."""

from collections.abc import Sequence

import numpy as np
import torch

from histoforge.classifiers.arms import load_arm, load_judge
from histoforge.classifiers.network import Classifier
from histoforge.core.progress import say
from histoforge.core.text import counted
from histoforge.evaluation.arm_inputs import ArmInput, RunKey, TestPatches
from histoforge.evaluation.study import ArmPredictions, predict
from histoforge.metrics.extract import Extractor
from histoforge.patches.device import DevicePatches


def predict_arms(
    arms: Sequence[ArmInput], on_device: DevicePatches, tested: TestPatches, batch_size: int, dtype: torch.dtype
) -> tuple[list[ArmPredictions], dict[int, list[Extractor]]]:
    """Return the probabilities of all arms and runs, and the extractors of each fold, loading each model once.

    A patch that several folds test has the mean probability of their classifiers.
    The extractors are the reference's first two seeds and its judge of another architecture.

    Args:
        arms: the arms, the reference first.
        on_device: the test patches on the device.
        tested: the test patches by fold.
        batch_size: patches computed at once.
        dtype: precision of the computation.

    Raises:
        ModelError: a classifier is damaged, or has other classes or another patch size.
    """
    predictions: list[ArmPredictions] = []
    extractors: dict[int, list[Extractor]] = {}
    test = tested.patches
    times = np.bincount(np.concatenate(list(tested.rows.values())), minlength=len(test))
    for arm in arms:
        of_run = {run: np.zeros((len(test), len(test.classes))) for run in arm.runs}
        for part in arm.parts:
            classifiers: list[Classifier] = load_arm(part.path, on_device.device)
            for classifier in classifiers:
                classifier.check_fits(test.classes, test.patch_size, "the patch set")
            if arm is arms[0] and part.fold not in extractors:
                judge = load_judge(part.path, on_device.device)
                extractors[part.fold] = [*classifiers[:2], *([] if judge is None else [judge])]
            rows = tested.rows[part.fold]
            for seed, classifier in zip(part.seeds, classifiers, strict=True):
                probabilities = predict(classifier, on_device, batch_size, dtype, rows)
                of_run[RunKey(part.generator_seed, seed)][rows] += probabilities
        predictions.append(ArmPredictions(arm, [probabilities / times[:, None] for probabilities in of_run.values()]))
        count = sum(len(part.seeds) for part in arm.parts)
        say(f"evaluate: {arm.name}: {counted(count, 'classifiers')} predicted {len(test)} test patches")
    return predictions, extractors
