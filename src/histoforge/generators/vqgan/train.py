"""Training of VQGAN: the autoencoder with its codebook, then the transformer over its codes (Esser et al. 2021)."""

import torch

from histoforge.core.progress import say
from histoforge.core.seeds import numpy_rng
from histoforge.generators.epoch_tracker import EpochTracker
from histoforge.generators.model_selection import CheckpointScorer
from histoforge.generators.networks import evaluating
from histoforge.generators.results import TrainingResult
from histoforge.generators.vqgan.codebook import perplexity, shares
from histoforge.generators.vqgan.config import VqganConfig
from histoforge.generators.vqgan.stages import Stages, psnr
from histoforge.generators.vqgan.trained import TrainedVqgan
from histoforge.patches.device import DevicePatches
from histoforge.patches.patchset import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo

MEASURED = 1000
"""Number of training patches on which the autoencoder is measured."""
FEW_CODES = 0.5
"""Share of codes in use below which there is a warning."""


def train(
    config: VqganConfig, data: PatchSet, engine: Engine, scorer: CheckpointScorer | None, info: ModelInfo
) -> TrainingResult:
    """Train the autoencoder and then the transformer on all patches of `data`.

    The first stage minimises the reconstruction error, the codebook's loss and, from `discriminator_start` on, the
    adversarial term with the adaptive weight of eq. 7. The second stage maximises the likelihood of the codes (eq. 8),
    while the autoencoder stays as it is. Only epochs in which the transformer was trained are scored.

    Raises:
        SettingsError: the patch size does not fit the settings.
        ModelError: the weights of the perceptual term cannot be read or do not fit.
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    stages = Stages(config, data, engine)
    trained = TrainedVqgan(info, config, stages.network, engine.device)
    tracker = _Tracker(config, engine, scorer, trained)
    engine.track(**stages.stateful(), **tracker.stateful())

    for batch in tracker.batches(data):
        if trains_prior(config, engine):
            values = stages.train_prior(batch)
        else:
            values = stages.train_codebook(batch.images)
        values = {name: value.detach() for name, value in values.items()}
        tracker.end_of_step(values)
        engine.end_of_step(**values)

    result = tracker.result((data.patch_size,), stages.parameter_counts())
    result.figures = _measure(trained, data)
    result.warnings = _warnings(config, engine.total_steps, result.figures["codes_used"])
    for warning in result.warnings:
        say(f"{engine.label}: {warning}")
    return result


def trains_prior(config: VqganConfig, engine: Engine) -> bool:
    """Return whether the current step belongs to the second stage."""
    return engine.global_step >= _codebook_steps(config, engine.total_steps)


def _codebook_steps(config: VqganConfig, total_steps: int) -> int:
    """Return the number of steps of the first stage; each stage has at least one step of two."""
    return min(max(round(config.codebook_share * total_steps), 1), total_steps - 1)


class _Tracker(EpochTracker):
    """Scores no epoch before the transformer is trained: its patches would be made of random codes."""

    config: VqganConfig

    def _is_due(self) -> bool:
        return trains_prior(self.config, self.engine) and super()._is_due()


@torch.inference_mode()
def _measure(trained: TrainedVqgan, data: PatchSet) -> dict[str, float]:
    """Measure the autoencoder on training patches: its PSNR, the share of codes that it uses, and their perplexity."""
    autoencoder, config = trained.network.autoencoder, trained.config
    sample = data.where(numpy_rng(config.seed, "vqgan measured").permutation(len(data))[:MEASURED])
    patches = DevicePatches.load(sample, trained.device)
    codes, ratios = [], []
    for rows in torch.arange(len(patches)).split(config.batch_size):
        images = patches.batch(rows).images
        with evaluating(trained.network), trained.autocast():
            codes.append(autoencoder.encode(images))
            ratios.append(psnr(images, autoencoder.decode(codes[-1])) * len(rows))
    used = shares(torch.cat(codes), config.codebook_size)
    return {
        "psnr": round(float(sum(ratios)) / len(patches), 3),
        "codes_used": float((used > 0).float().mean()),
        "perplexity": round(float(perplexity(used)), 2),
    }


def _warnings(config: VqganConfig, total_steps: int, codes_used: float) -> list[str]:
    warnings = []
    if codes_used < FEW_CODES:
        warnings.append(
            f"Only {codes_used:.0%} of the {config.codebook_size} codes occur in training patches: lower "
            "codebook_size, train the first stage longer, or lower restart_after."
        )
    if config.adversarial_weight and config.discriminator_start >= _codebook_steps(config, total_steps):
        warnings.append(
            f"The discriminator took no part, since the first stage ended before step {config.discriminator_start}: "
            "lower discriminator_start, or train longer."
        )
    return warnings
