"""Training of one classifier: one seed of one arm."""

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.classifiers.augment import ColourJitter, traditional
from histoforge.classifiers.data import TrainingData
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.probing import LinearProbe
from histoforge.core.errors import TrainingError
from histoforge.core.timings import spent
from histoforge.patches.device import DevicePatches
from histoforge.training import processes
from histoforge.training.engine import Engine

EVALUATION_BATCH = 256
EVALUATION_PIXELS = EVALUATION_BATCH * 128 * 128


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of the classifiers, the same in every arm except for `augmentation` and the synthetic patches.

    A4-14: Xue et al. 2021 do not give hyper-parameters of their classifiers, only that they are the same in all
    experiments. Those of the RL-EO paper's downstream task ("Optimizer: Adam with lr=1e-5, LR Scheduler with a step
    size of 7, and gamma=0.1") correspond to `schedule` 'step' with its defaults and no weight decay, which turns AdamW
    into Adam.

    Attributes:
        augmentation: 'none' or 'traditional'.
        brightness, contrast, saturation, hue: strengths of the traditional augmentation's colour jitter.
        epochs: the budget; an epoch has as many steps as one pass over the *real* training patches.
        max_steps: upper bound on the steps of the whole training; 0 for none.
        batch_size: patches per step.
        learning_rate: initial learning rate of AdamW.
        weight_decay: weight decay of AdamW.
        schedule: 'cosine', from the learning rate to 0, or 'step', times `step_factor` after every `step_epochs`.
        step_epochs, step_factor: parameters of the schedule 'step'.
        patience: number of epochs without a better validation loss after which training stops; 0 for never.
        device, precision, checkpoints, checkpoint_every: see `training.engine.Engine`.
    """

    augmentation: str
    brightness: float
    contrast: float
    saturation: float
    hue: float
    epochs: int
    max_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    schedule: str
    step_epochs: int
    step_factor: float
    patience: int
    device: str
    precision: str
    checkpoints: str
    checkpoint_every: int


class FitState:
    """Progress of a training: validation results of each epoch, and the best epoch's weights.

    The best epoch is the one with the lowest validation loss, and the earliest of several. The loss changes with each
    patch, whereas the accuracy on a small validation split takes few values and is often tied.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self.weights: dict[str, Tensor] = {}
        self.seconds = 0.0

    def add(self, result: dict[str, float], classifier: nn.Module) -> None:
        """Add the validation result of an epoch.

        Raises:
            TrainingError: the validation loss is not finite.
        """
        if not math.isfinite(result["val_loss"]):
            raise TrainingError(
                f"The validation loss was not finite after epoch {len(self.history) + 1}: lower the learning rate or "
                "use precision=float32."
            )
        self.history.append(result)
        if not self.best_epoch or result["val_loss"] < self.history[self.best_epoch - 1]["val_loss"]:
            self.best_epoch = len(self.history)
            self.weights = {name: tensor.detach().clone() for name, tensor in classifier.state_dict().items()}

    def has_stalled(self, patience: int) -> bool:
        """Return whether the last `patience` epochs brought no improvement."""
        return bool(patience) and len(self.history) - self.best_epoch >= patience

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        vars(self).update(state)


def fit(
    classifier: Classifier | LinearProbe, data: TrainingData, recipe: Recipe, engine: Engine, progress: FitState
) -> None:
    """Train `classifier` in place and leave the best epoch's weights in it.

    Arms are compared fairly: each arm gets the same number of steps (`epochs` passes over the real patches), the same
    schedule and the same number of evaluations on the validation split. Synthetic patches are mixed with the real ones
    and take their share of the steps; they do not add steps. An arm therefore cannot win by training longer, as it
    could with epochs over the larger set. The loss weights classes by 1 / frequency among the *real* training patches
    in every arm that has any, and among the synthetic patches in an arm that is trained on these alone.

    Args:
        classifier: with its initial weights, on the engine's device.
        data: the patches.
        recipe: the hyper-parameters.
        engine: the engine of this training; if it has a checkpoint, training resumes from there.
        progress: filled with the validation results.

    Raises:
        TrainingError: the loss is not finite.
    """
    optimizer = torch.optim.AdamW(
        [parameter for parameter in classifier.parameters() if parameter.requires_grad],
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    engine.track(classifier=classifier, optimizer=optimizer, progress=progress)
    weights, val_weights = data.class_weights.to(engine.device), data.val_weights.to(engine.device)
    jitter = ColourJitter(recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)
    steps = math.ceil(data.real / recipe.batch_size)
    for batch in engine.batches(data.train, recipe.batch_size, recipe.epochs, steps, recipe.max_steps):
        if progress.has_stalled(recipe.patience):
            break
        started = time.monotonic()
        set_learning_rate(optimizer, recipe, engine.epoch, engine.global_step / engine.total_steps)
        images = batch.images
        if recipe.augmentation == "traditional":
            images = traditional(images, jitter, engine.rng)
        classifier.train()
        with engine.autocast():
            logits = classifier(images)
        losses = F.cross_entropy(logits, batch.labels, weight=weights, reduction="none")
        loss = losses.mean() / processes.mean(weights[batch.labels].mean())
        engine.step(optimizer, loss)
        if engine.epoch_ended:
            progress.add(processes.from_main(evaluate(classifier, data.val, val_weights, engine)), classifier)
        progress.seconds += time.monotonic() - started
        engine.end_of_step(loss=loss)
    classifier.load_state_dict(progress.weights)
    classifier.eval()


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: int, done: float) -> None:
    """Set the learning rate of the recipe's schedule for an epoch, from 1, after the share `done` of the steps."""
    if recipe.schedule == "step":
        factor = recipe.step_factor ** ((epoch - 1) // recipe.step_epochs)
    else:
        factor = 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * factor


@torch.inference_mode()
def evaluate(
    classifier: Classifier | LinearProbe, patches: DevicePatches, weights: Tensor, engine: Engine
) -> dict[str, float]:
    """Compute class-weighted cross-entropy, accuracy and balanced accuracy (mean recall of the classes present)."""
    classifier.eval()
    logits, labels = [], []
    size = min(EVALUATION_BATCH, max(1, EVALUATION_PIXELS // math.prod(classifier.input_size)))
    for rows in torch.arange(len(patches)).split(size):
        batch = patches.batch(rows)
        with engine.autocast(), spent("compute", patches=len(rows)):
            logits.append(classifier(batch.images))
        labels.append(batch.labels)
    scores, truth = torch.cat(logits), torch.cat(labels)
    right = (scores.argmax(1) == truth).double()
    recalls = [right[truth == label].mean() for label in truth.unique()]
    return {
        "val_loss": float(F.cross_entropy(scores.double(), truth, weight=weights.double())),
        "val_accuracy": float(right.mean()),
        "val_balanced_accuracy": float(torch.stack(recalls).mean()),
    }
