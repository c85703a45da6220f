"""From the trial of a step to the time, memory and storage of a task on the whole source."""

import math
from dataclasses import dataclass
from typing import Any

from histoforge.core.settings import StepConfig
from histoforge.ingest.config import IngestConfig
from histoforge.patches.device import host_memory
from histoforge.steps.step import Step
from histoforge.steps.train_generator_config import TrainGeneratorConfig, method_config
from histoforge.tasks.estimate.trials import StepTrial
from histoforge.tasks.usage import GIB
from histoforge.training.timing import MeasuredTraining

STEP_OVER_PREDICTION = 3
"""Time of a training step (forward, and the gradients of activations and weights) over that of a prediction."""
GROWING_OUTPUTS = ("patches", "latents")
"""Kinds of outputs whose size grows with the number of patches."""
RULE = (
    "Cutting: a sample of the slides or images, scaled by bytes; of slides, the decoding is scaled by patches.",
    "Trainings: steps times the time of a step in a trial of a few, plus the scoring at the end of each epoch that is "
    "scored; without early stopping. Where an epoch is a pass over the patches, the steps grow with them.",
    "Other tasks: reading, decoding, transfers, computing and writing grow with the patches (or the number to draw); "
    "the rest stays as in the trial. For each further classifier, an evaluation takes a third of a training step per "
    "batch of test patches.",
    "Memory: the peak of the trial, plus the pixels of the training patches where a task loads them, up to the share "
    "of the memory above which they stay in their files. Storage: pixels grow with the patches, and models are as "
    "large as in the trial.",
)


@dataclass(frozen=True)
class Expected:
    """Numbers of patches in the whole source, with those of the trial, and numbers of classifiers.

    Attributes:
        train, val, test: expected patches of each split.
        in_trial: patches of each split in the trial.
        patch_bytes: size of the pixels of a patch.
        classifiers: number of classifiers that the pipeline trains.
        prediction_seconds: time to classify a patch.
    """

    train: int
    val: int
    test: int
    in_trial: int
    patch_bytes: int
    classifiers: int
    prediction_seconds: float

    @property
    def growth(self) -> float:
        """Patches of the whole per patch of the trial, over all splits."""
        return (self.train + self.val + self.test) / (3 * self.in_trial)


def expected_patches(
    cutting: IngestConfig, patches: int, in_trial: int, classifiers: int, training: StepTrial | None, batch_size: int
) -> Expected:
    """Return the expected numbers of patches, divided by the ratios of the splits.

    Args:
        cutting: settings of `preprocess`.
        patches: expected patches of the whole source.
        in_trial: patches of each split in the trial.
        classifiers: number of classifiers that the pipeline trains.
        training: the trial of `train_classifier`, or None.
        batch_size: patches of each of its steps.
    """
    train, val, test = (max(1, round(ratio * patches)) for ratio in cutting.ratios)
    step = training.trainings[0].seconds_per_step if training and training.trainings else 0.0
    return Expected(
        train=max(1, round(train * min(cutting.train_fraction, 1 - cutting.control_share))),
        val=val,
        test=test,
        in_trial=in_trial,
        patch_bytes=3 * math.prod(cutting.size),
        classifiers=classifiers,
        prediction_seconds=step / STEP_OVER_PREDICTION / batch_size,
    )


def seconds_of(step: Step, trial: StepTrial, config: Any, expected: Expected) -> float:
    """Return the expected time of one task of a step; see `RULE`."""
    if trial.trainings:
        outside = max(0.0, trial.usage.seconds - sum(training.trial_seconds for training in trial.trainings))
        repeats = config.seeds if step.name == "train_classifier" else 1
        own = trial.trainings[:1] if getattr(config, "only_class", "") else trial.trainings
        return outside + repeats * sum(_training_seconds(training, config, expected) for training in own)
    growth = _growth(step, trial, config, expected)
    seconds = trial.usage.other_seconds + growth * sum(phase.seconds for phase in trial.usage.phases.values())
    if step.name in ("evaluate", "leaderboard"):
        seconds += expected.classifiers * expected.test * expected.prediction_seconds
    return seconds


def memory_of(step: Step, trial: StepTrial, expected: Expected) -> float:
    """Return the expected peak memory of the host, GiB."""
    pixels = max(0, expected.train - expected.in_trial) * expected.patch_bytes if step.trains else 0
    return trial.usage.peak_memory_gib + min(pixels, host_memory()) / GIB


def bytes_of(step: Step, trial: StepTrial, config: Any, expected: Expected) -> int:
    """Return the expected size of a task's outputs."""
    growth = _growth(step, trial, config, expected)
    size = 0.0
    for port in step.outputs:
        several = config.seeds if port.kind == "arm" and hasattr(config, "seeds") else 1
        size += trial.bytes[port.name] * (growth if port.kind in GROWING_OUTPUTS else several)
    return round(size)


def _growth(step: Step, trial: StepTrial, config: Any, expected: Expected) -> float:
    """Return by how much more patches a task handles than in the trial."""
    if trial.drawn:
        return float(config.count / trial.drawn)
    if step.name == "select_samples":
        return expected.train / expected.in_trial
    return expected.growth


def _training_seconds(training: MeasuredTraining, config: StepConfig, expected: Expected) -> float:
    per_epoch, steps = _steps(training, config, expected)
    epochs = max(1, math.ceil(steps / per_epoch))
    return steps * training.seconds_per_step + _scorings(config, epochs) * training.seconds_at_end * _scoring_growth(
        config, expected
    )


def _steps(training: MeasuredTraining, config: Any, expected: Expected) -> tuple[int, int]:
    """Return the steps of an epoch and of the whole training."""
    if isinstance(config, TrainGeneratorConfig):
        config = method_config(config)
    fixed = getattr(config, "epoch_steps", 0) or getattr(config, "stage2_epoch_steps", 0)
    if fixed:
        return training.steps_per_epoch, training.steps
    batch = config.batch_size
    share = training.steps_per_epoch / math.ceil(expected.in_trial / batch)  # of the patches, as of one class
    per_epoch = math.ceil(share * expected.train / batch)
    steps = per_epoch * round(getattr(config, "epochs", 0) or training.steps / training.steps_per_epoch)
    return per_epoch, min(steps, getattr(config, "max_steps", 0) or steps)


def _scorings(config: Any, epochs: int) -> int:
    """Return how many epochs are scored: all, or of a generator every `fid_every`-th and the last."""
    if not isinstance(config, TrainGeneratorConfig):
        return epochs
    method = method_config(config)
    every, first = getattr(method, "fid_every", 1), getattr(method, "select_from_epoch", 1)
    return len({*range(first, epochs + 1, every), epochs})


def _scoring_growth(config: Any, expected: Expected) -> float:
    if isinstance(config, TrainGeneratorConfig):
        return 1.0 if getattr(method_config(config), "fid_samples", 0) else expected.train / expected.in_trial
    return expected.val / expected.in_trial
