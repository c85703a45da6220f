"""Training of the unified ViT cGAN (Li et al., Algorithms 1 and 2)."""

from functools import partial

import torch
from torch import Tensor

from histoforge.classifiers.network import Classifier
from histoforge.core.errors import SettingsError
from histoforge.generators import wgan_gp
from histoforge.generators.model_selection import CheckpointScorer
from histoforge.generators.networks import GanNetworks, adam, frozen, to_device
from histoforge.generators.results import TrainedClassifier, TrainingResult
from histoforge.generators.vitgan.config import VitganConfig
from histoforge.generators.vitgan.discriminator import VitganDiscriminator, classifier_info
from histoforge.generators.vitgan.generator import VitganGenerator
from histoforge.generators.vitgan.geometry import base_size
from histoforge.generators.vitgan.loss import LossWeighing, Selected, select
from histoforge.generators.vitgan.noise import truncated
from histoforge.generators.vitgan.tracker import UnifiedTracker
from histoforge.generators.vitgan.trained import TrainedVitgan
from histoforge.layers.diff_augment import diff_augment
from histoforge.layers.token_attention import twice_differentiable
from histoforge.patches.patchset import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo
from histoforge.training.parameters import count_parameters

Values = dict[str, Tensor]
"""Scalars of a step by name, for the history."""


def train(
    config: VitganConfig,
    data: PatchSet,
    engine: Engine,
    scorer: CheckpointScorer | None,
    info: ModelInfo,
    validation: PatchSet,
) -> TrainingResult:
    """Train the generator and the discriminator, whose class head is the classifier, on all patches of `data`.

    Each batch updates the discriminator with the learned weights of its class losses, and every `n_critic`-th batch the
    generator, with fakes that are drawn once for both and have the classes of the real patches. A2-11: the paper gives
    no number of critic updates, and its Algorithm 1 updates both networks in each step. The chosen weights are those of
    the epoch that `TwoCriteria` chooses.

    Raises:
        SettingsError: the patch size does not fit the settings, or all training patches belong to one class.
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    _check_classes(data, info.method)
    networks = _Networks(config, data, engine, info)
    tracker = UnifiedTracker(
        config, engine, scorer, networks.trained, networks.discriminator.classifier, data, validation
    )
    engine.track(**networks.stateful(), **tracker.stateful())
    augment = partial(diff_augment, policy=config.diff_augment, rng=engine.rng)

    for batch in tracker.batches(data):
        update_generator = (engine.global_step + 1) % config.n_critic == 0
        z = truncated(engine.normal(config.batch_size, config.z_dim), config.truncation)
        with engine.autocast(), torch.set_grad_enabled(update_generator):
            samples = networks.generator(z, batch.labels)

        with engine.autocast():
            real, fake = augment(batch.images), augment(samples.detach())
            loss, values = _discriminator_loss(networks, real, fake, batch.labels, engine)
        engine.step(networks.discriminator_optimizer, loss)
        networks.weighing.clamp()

        if update_generator:
            with engine.autocast(), frozen(networks.discriminator):
                loss = _generator_loss(networks, augment(samples), batch.labels, engine)
            engine.step(networks.generator_optimizer, loss)
            networks.average()

        tracker.end_of_step(values)
        engine.end_of_step(**values)

    result = tracker.result((data.patch_size,), networks.parameter_counts())
    result.warnings = tracker.warnings()
    result.classifier = _classifier(networks, result, data, validation, engine)
    return result


class _Networks(GanNetworks):
    """Both networks, the learned weights of the class losses, and two optimisers."""

    def __init__(self, config: VitganConfig, data: PatchSet, engine: Engine, info: ModelInfo) -> None:
        base, classes = base_size(config, data.patch_size, info.method), len(data.classes)
        super().__init__(to_device(VitganGenerator(config, base, classes), engine), config.ema_decay)
        self.config = config
        self.discriminator = to_device(VitganDiscriminator(Classifier(classifier_info(config, info))), engine)
        self.weighing = LossWeighing(config.weighing).to(engine.device)
        self.generator_optimizer = adam(self.generator, config)
        # A2-2: the weights s of the class losses belong to the discriminator's optimiser only
        self.discriminator_optimizer = adam(torch.nn.ModuleList([self.discriminator, self.weighing]), config)
        self.trained = TrainedVitgan(info, self.averaged, engine.device)

    def parameter_counts(self) -> dict[str, int]:
        """Return the numbers of trained weights."""
        return {"generator": count_parameters(self.generator), "discriminator": count_parameters(self.discriminator)}


def _discriminator_loss(
    networks: _Networks, real: Tensor, fake: Tensor, labels: Tensor, engine: Engine
) -> tuple[Tensor, Values]:
    """Compute L_S + L_mlw (eqs. 2, 7 and 8) for the discriminator and the weights s.

    A2-1: eq. 2 as printed would maximise the penalty; here the discriminator minimises
    E[f1(fake)] - E[f1(real)] + gp_weight * penalty.
    """
    config = networks.config
    scores, logits = networks.discriminator(torch.cat([real, fake]))
    (real_scores, fake_scores), (real_logits, fake_logits) = scores.chunk(2), logits.chunk(2)
    selected = select(config, fake_logits, labels, config.selection)
    real_loss = torch.nn.functional.cross_entropy(real_logits, labels)
    distance = wgan_gp.critic_loss(real_scores, fake_scores)
    warmed_up = engine.global_step >= config.class_warm_up
    loss = distance + networks.weighing(real_loss, selected.loss, selected.any & warmed_up)
    penalty = torch.zeros((), device=labels.device)
    if config.gp_weight and engine.global_step % config.penalty_every == 0:
        with twice_differentiable():
            penalty = wgan_gp.gradient_penalty(networks.discriminator.source, real, fake, engine.rng)
        penalty = config.penalty_every * penalty
        loss = loss + config.gp_weight * penalty
    return loss, {
        "wasserstein": -distance.detach(),
        "penalty": penalty.detach(),
        "source_real": real_scores.detach().mean(),
        "source_fake": fake_scores.detach().mean(),
        "ce_real": real_loss.detach(),
        "ce_synthetic": selected.loss.detach(),
        "s_real": networks.weighing.real.detach().clone(),
        "s_synthetic": networks.weighing.synthetic.detach().clone(),
        **_counts(selected, labels, len(networks.trained.info.classes)),
    }


def _generator_loss(networks: _Networks, fake: Tensor, labels: Tensor, engine: Engine) -> Tensor:
    """Compute -E[f1(fake)] plus the weighed class loss; A2-2: the rest of eq. 8 has no gradient for the generator."""
    config, weighing = networks.config, networks.weighing
    if engine.global_step < config.class_warm_up:
        return wgan_gp.generator_loss(networks.discriminator.source(fake))
    scores, logits = networks.discriminator(fake)
    selected = select(config, logits, labels, config.selection and config.filter_g)
    weight = weighing.weight(weighing.synthetic.detach())
    return wgan_gp.generator_loss(scores) + weight * selected.loss


def _counts(selected: Selected, labels: Tensor, classes: int) -> Values:
    """Return how many synthetic patches of each class a step drew, and of how many the class head was sure."""
    drawn = torch.bincount(labels, minlength=classes).float()
    kept = torch.bincount(labels, weights=selected.mask.float(), minlength=classes).float()
    return {
        f"{name}_{label}": counts[label]
        for name, counts in (("drawn", drawn), ("kept", kept))
        for label in range(classes)
    }


def _classifier(
    networks: _Networks, result: TrainingResult, data: PatchSet, validation: PatchSet, engine: Engine
) -> TrainedClassifier:
    """Describe the classifier, with the record of its training that the other arms have."""
    classifier, rows = networks.discriminator.classifier, result.history.rows
    names = ("val_loss", "val_accuracy", "val_balanced_accuracy")
    history = [{name: row[name] for name in names} for row in rows]
    counts = {"train": data.counts, "val": validation.counts}
    training = {
        "arm": networks.trained.info.method,
        "seed": engine.seed,
        "stain": data.stain,
        "best_epoch": result.chosen_epoch,
        "epochs": len(rows),
        "steps": engine.global_step,
        **history[result.chosen_epoch - 1],
        "seconds": round(sum(float(row["seconds"] or 0) for row in rows), 2),
        "device": str(engine.device),
        "precision": str(engine.dtype).removeprefix("torch."),
        "history": history,
        "counts": {name: dict(zip(data.classes, count.tolist(), strict=True)) for name, count in counts.items()},
        "warnings": result.warnings,
    }
    return TrainedClassifier(classifier.info.model_copy(update={"training": training}), classifier.state_dict())


def _check_classes(data: PatchSet, method: str) -> None:
    present = [name for name, count in zip(data.classes, data.counts.tolist(), strict=True) if count]
    if len(present) < 2:
        raise SettingsError(
            f"{method} also learns to classify, and all training patches are of the class '{present[0]}': give patches "
            "of two classes or more, or choose another method."
        )
