"""Images and settings so small that a whole pipeline takes seconds, not counting the start of pods."""

from pathlib import Path
from typing import Any

CLASSES = ("benign", "tumour")
_WITHOUT_CONTROL: dict[str, Any] = {
    "preprocess.patch_size": "16",
    "preprocess.overview_size": 32,
    "preprocess.split_ratios": "2:1:1",
    "preprocess.patient_pattern": "(p[0-9]+)-",
    "train_classifier.backbone": "resnet10",
    "train_classifier.stem": "small",
    "train_classifier.width": 0.125,
    "train_classifier.epochs": 1,
    "train_classifier.seeds": 2,
    "train_classifier.batch_size": 16,
    "train_generator.up_blocks": 2,
    "train_generator.stages": 2,
    "train_generator.z_dim": 8,
    "train_generator.base_channels": 32,
    "train_generator.min_channels": 16,
    "train_generator.residual_blocks": 1,
    "train_generator.critic_channels": 16,
    "train_generator.critic_max_channels": 32,
    "train_generator.minibatch_kernels": 4,
    "train_generator.minibatch_dims": 4,
    "train_generator.batch_size": 8,
    "train_generator.epochs": 2,
    "train_generator.epoch_steps": 2,
    "select_samples.passes": 2,
    "evaluate.resamples": 100,
    "evaluate.map_patches": 10,
    "evaluate.neighbours": 2,
}
SETTINGS: dict[str, Any] = {"preprocess.control_share": 0.25, **_WITHOUT_CONTROL}
LEADERBOARD: dict[str, Any] = {
    **{
        name: value for name, value in _WITHOUT_CONTROL.items() if name.startswith(("preprocess.", "train_classifier."))
    },
    "train_generator.batch_size": 8,
    "train_generator.epochs": 1,
    "train_generator.epoch_steps": 2,
    **{
        f"train_generator.{method}.{network}_maps": 8
        for method in ("rleo", "dcgan")
        for network in ("generator", "discriminator")
    },
    "finetune_snn.stage1": False,
    "finetune_snn.width": 0.125,
    "finetune_snn.stage2_epochs": 1,
    "finetune_snn.checked_pairs": 60,
    "finetune_snn.cost_batch": 4,
    "finetune_snn.shown": 1,
    "score_generator.count": 32,
    "score_generator.path_pairs": 4,
    "score_generator.map_patches": 10,
    "score_generator.neighbours": 2,
    "leaderboard.resamples": 100,
    "leaderboard.map_patches": 10,
}
"""Settings for the pipelines that compare generators."""
_ALL_METHODS = ("batch_size", "epochs", "epoch_steps")
_TINY_NETWORK = {
    "z_dim": 20,
    "generator_channels": 128,
    "heads": 2,
    "encoders": 1,
    "discriminator_step": 4,
    "discriminator_width": 0.1,
}


def _of_histogan(name: str) -> str:
    """Return the name of an override of `SETTINGS` for a pipeline that trains generators of several methods."""
    step, _, parameter = name.partition(".")
    return f"{step}.histogan.{parameter}" if step == "train_generator" and parameter not in _ALL_METHODS else name


UNIFIED: dict[str, Any] = {
    **{
        _of_histogan(name): value
        for name, value in _WITHOUT_CONTROL.items()
        if name not in ("train_classifier.backbone", "train_classifier.stem")
    },
    "preprocess.patch_size": "32",
    "preprocess.small_images": "resize",
    "select_samples.threshold": 0,
    "train_generator.histogan.stages": 0,
    **{
        f"train_generator.{method}.{name}": value
        for method in ("vitgan", "medvitgan")
        for name, value in _TINY_NETWORK.items()
    },
}
"""Settings for the pipeline that compares one network with two stages; 32 px is the smallest patch of its networks."""

PATHUP: dict[str, Any] = {
    "preprocess.patch_size": "32",
    "preprocess.overview_shrink": 2,
    "preprocess.small_images": "resize",
    "preprocess.min_tissue": 0.2,  # so that images of one patch are kept as large images, which are padded
    **{f"preprocess.{name}": SETTINGS[f"preprocess.{name}"] for name in ("split_ratios", "patient_pattern")},
    "train_autoencoder.channels": 8,
    "train_autoencoder.levels": 2,
    "train_autoencoder.attention": False,
    "train_autoencoder.epochs": 1,
    "train_autoencoder.epoch_steps": 2,
    "train_generator.batch_size": 8,
    "train_generator.epochs": 1,
    "train_generator.epoch_steps": 2,
    "train_generator.select_from_epoch": 1,
    "train_generator.fid_every": 1,
    "train_generator.fid_samples": 16,
    "train_generator.pathup.unet_channels": 8,
    "train_generator.pathup.levels": 2,
    "train_generator.pathup.level_blocks": 1,
    "train_generator.pathup.sampling_steps": 2,
    "train_generator.stylegan2.channel_base": 64,
    "train_generator.stylegan2.channel_max": 8,
    "train_generator.stylegan2.z_dim": 8,
    "train_generator.stylegan2.style_dim": 8,
    "train_generator.stylegan2.mapping_layers": 1,
    **{
        f"train_upscaler.{name}": value
        for name, value in {
            "crop": 32,
            "channels": 8,
            "batch_size": 4,
            "epochs": 2,
            "epoch_steps": 2,
            "l1_epochs": 1,
            "blocks": 1,
            "growth": 4,
            "critic_channels": 4,
            "checked": 4,
        }.items()
    },
    "synthesise_images.images_per_class": 2,
    "synthesise_images.steps": 2,
    **{
        f"train_classifier.{name}": SETTINGS[f"train_classifier.{name}"]
        for name in ("backbone", "width", "epochs", "batch_size")
    },
    "train_classifier.seeds": 1,
    **{
        f"score_generator.{name}": LEADERBOARD[f"score_generator.{name}"]
        for name in ("count", "map_patches", "neighbours")
    },
    "score_generator.path_pairs": 0,
    "score_images.neighbours": 2,
    "score_images.tiles": 16,
    **{name: value for name, value in SETTINGS.items() if name.startswith("evaluate.")},
}
"""Settings for the pipeline that draws large images, of 64 px here."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "augmentation-study": {"overrides": SETTINGS, "ratios": [0.5], "pool_multiples": [2.0], "fractions": [0.5]},
    "rleo": {"overrides": LEADERBOARD, "methods": ["rleo:literal"], "generator_seeds": 1},
    "generator-benchmark": {"overrides": LEADERBOARD, "methods": ["dcgan"], "generator_seeds": 1},
    "unified": {
        "overrides": UNIFIED,
        "backbones": ["resnet10", "resnet18"],
        "ratios": [0.5],
        "networks": ["vitgan"],
    },
    "pathup": {"overrides": PATHUP, "baselines": ["stylegan2"], "upscalers": ["bsrgan"]},
}
"""The arguments of the runs of pipelines without their locations; all other pipelines run with `SETTINGS`."""


def arguments_of(pipeline: str) -> dict[str, Any]:
    """Return the arguments of a pipeline's run, without its locations."""
    return ARGUMENTS.get(pipeline, {"overrides": SETTINGS})


ENDLESS = {
    "train_generator.epochs": 1_000_000,
    "train_generator.epoch_steps": 100,
    "train_generator.checkpoint_every": 50,
}
"""Settings of a training that ends only when it is told to, with a checkpoint every few seconds."""


def write_images(folder: Path, per_class: int = 32, patients: int = 8, side: int = 16) -> Path:
    """Write folders of drawn images by class, whose names begin with the patient, and return `folder`."""
    from PIL import Image

    from histoforge.phantom import draw_patches

    drawn = draw_patches(per_class, (side, side), mpp=2.0, patients=patients)
    for number, (image, label, patient) in enumerate(zip(drawn.images, drawn.labels, drawn.patients, strict=True)):
        directory = folder / CLASSES[label]
        directory.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(directory / f"p{int(''.join(filter(str.isdigit, patient)))}-{number}.png")
    return folder
