"""Training of RL-EO (Mustafa 2024, sections III.C and III.D)."""

from histoforge.generators.dcgan.train import train_gan
from histoforge.generators.model_selection import CheckpointScorer
from histoforge.generators.results import TrainingResult
from histoforge.generators.rleo.config import RleoConfig
from histoforge.generators.rleo.objective import Embedder, RewardedCrossEntropy
from histoforge.patches.device import DevicePatches
from histoforge.patches.patchset import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo


def train(
    config: RleoConfig,
    data: PatchSet,
    engine: Engine,
    scorer: CheckpointScorer | None,
    info: ModelInfo,
    guide: Embedder,
) -> TrainingResult:
    """Train the improved DCGAN on all patches of `data`, which belong to one class, with the guide's reward.

    Args:
        config: the settings.
        data: real patches.
        engine: runs the training.
        scorer: computes the FID of each epoch; None keeps the last epoch.
        info: the model's description.
        guide: on the engine's device; it is not changed.

    Raises:
        SettingsError: the method cannot draw the patch size.
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    rng = engine.random_stream("reward")
    objective = RewardedCrossEntropy(config, guide, DevicePatches.load(data, engine.device), rng)
    engine.track(reward=objective)
    return train_gan(config, data, engine, scorer, info, objective)
