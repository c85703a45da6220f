"""Train the classifiers of one arm for all its seeds, with or without synthetic patches."""

from dataclasses import fields
from pathlib import Path
from statistics import fmean

from histoforge.classifiers.architecture import Architecture
from histoforge.classifiers.encoders.description import read_description
from histoforge.classifiers.study import train
from histoforge.classifiers.training import Recipe
from histoforge.patches import PatchSet
from histoforge.steps.train_classifier_config import TrainClassifierConfig, TrainClassifierSummary


def run(
    config: TrainClassifierConfig, *, patches: Path, synthetic: Path | None = None, model: Path
) -> TrainClassifierSummary:
    """Train one classifier per seed.

    Args:
        config: the settings.
        patches: patch set of real patches, split into train, val and test; the test split is not read.
        synthetic: patch set of synthetic patches to add to the training split or to train on exclusively, or None.
        model: the arm directory to write: `arm.json` and one model directory `seed-<n>` per seed.

    Raises:
        HistoforgeError: if the inputs cannot be used; see `classifiers.train`.
    """
    arm = train(
        config.arm,
        _architecture(config),
        Recipe(**config.model_dump(include={field.name for field in fields(Recipe)})),
        range(config.seed, config.seed + config.seeds),
        PatchSet.open(patches, config.fold),
        None if synthetic is None else PatchSet.open(synthetic),
        Path(model),
        config.use,
        config.factor_values,
        config.control_ratio,
    )
    runs, counts = arm["runs"], arm["counts"]
    return TrainClassifierSummary(
        arm=config.arm,
        seeds=arm["seeds"],
        use=config.use,
        train=sum(counts["train"].values()),
        synthetic=sum(counts.get("synthetic", {}).values()),
        control=sum(counts.get("control", {}).values()),
        val=sum(counts["val"].values()),
        val_accuracy=fmean(run["val_accuracy"] for run in runs),
        val_balanced_accuracy=fmean(run["val_balanced_accuracy"] for run in runs),
        val_loss=fmean(run["val_loss"] for run in runs),
        best_epochs=[run["best_epoch"] for run in runs],
        seconds=round(sum(run["seconds"] for run in runs), 2),
    )


def _architecture(config: TrainClassifierConfig) -> Architecture:
    """Return the architecture, with what the file of an encoder states about its network."""
    values = config.model_dump(include={field.name for field in fields(Architecture)} - {"encoder"})
    if config.encoder:
        description = read_description(config.encoder)
        values |= {
            "encoder": description.model_dump(mode="json", exclude={"weights"}),
            "weights": description.weights,
            "weights_sha256": description.sha256,
            "input_size": description.input_size,
            "width": 1.0,  # that of presets is meant for networks that train
        }
    return Architecture(**values)
