"""A tiny latent diffusion model in the object store, for the components that only PathUp uses."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from backend.driver import local_path
from backend.workflow import STORE

from histoforge.steps import score_images, train_autoencoder, train_generator, train_upscaler
from histoforge.steps.score_images_config import ScoreImagesConfig
from histoforge.steps.train_autoencoder_config import TrainAutoencoderConfig
from histoforge.steps.train_generator_config import TrainGeneratorConfig
from histoforge.steps.train_upscaler_config import TrainUpscalerConfig

AUTOENCODER = {
    "channels": 8,
    "levels": 2,
    "latent_channels": 2,
    "attention": False,
    "batch_size": 8,
    "epochs": 1,
    "epoch_steps": 2,
}
GENERATOR = {
    "method": "pathup",
    "unet_channels": 8,
    "levels": 2,
    "level_blocks": 1,
    "batch_size": 4,
    "epochs": 1,
    "epoch_steps": 2,
    "sampling_steps": 2,
}
UPSCALER = {
    "scale": 2,
    "channels": 8,
    "levels": 2,
    "level_blocks": 1,
    "sampling_steps": 2,
    "blocks": 1,
    "growth": 4,
    "batch_size": 4,
    "epochs": 1,
    "epoch_steps": 2,
    "checked": 2,
}
SETTINGS: dict[str, Any] = {
    **{f"train_autoencoder.{name}": value for name, value in AUTOENCODER.items()},
    **{f"train_generator.{name}": value for name, value in GENERATOR.items()},
    **{f"train_upscaler.{name}": value for name, value in UPSCALER.items()},
    "synthesise_images.size": "32",
    "synthesise_images.images_per_class": 1,
    "synthesise_images.steps": 2,
}


def train_latent_generator(objects: Path, patches: str) -> dict[str, str]:
    """Train an autoencoder, a PathUp generator and an upscaler on stored patches, which are overviews as well.

    Returns:
        The locations of `autoencoder`, `latents`, `latent_generator` and `upscaler_model` in the store.
    """
    names = ("autoencoder", "latents", "latent_generator", "upscaler_model")
    locations = {name: f"{STORE}/latent/{name}" for name in names}
    paths = {name: objects / local_path(uri).lstrip("/") for name, uri in locations.items()}
    source = objects / local_path(patches).lstrip("/")
    coded = {name: paths[name] for name in ("autoencoder", "latents")}
    train_autoencoder.run(TrainAutoencoderConfig.make(AUTOENCODER), patches=source, overviews=source, **coded)
    train_generator.run(
        TrainGeneratorConfig.make(GENERATOR), patches=source, **coded, generator=paths["latent_generator"]
    )
    train_upscaler.run(
        TrainUpscalerConfig.make({**UPSCALER, "method": "bsrgan"}), patches=source, upscaler=paths["upscaler_model"]
    )
    return locations


def score_tiny_images(objects: Path, artifacts: Mapping[str, str]) -> str:
    """Score stored synthetic patches as if they were large images, and return the location of the scores."""
    location = f"{STORE}/latent/image_scores"
    inputs = {"patches": "patches", "images": "selected", "extractor": "baseline"}
    paths = {name: objects / local_path(artifacts[key]).lstrip("/") for name, key in inputs.items()}
    score_images.run(ScoreImagesConfig.make({}), **paths, scores=objects / local_path(location).lstrip("/"))
    return location


def settings_with(inputs: Collection[str]) -> dict[str, Any]:
    """Return settings that use a component's optional inputs."""
    return {
        **SETTINGS,
        "train_upscaler.method": "latent_sr" if "autoencoder" in inputs else "bsrgan",
        "synthesise_images.upscaler": "trained" if "upscaler_model" in inputs else "tracking",
    }


def inputs_of(component: str, locations: Mapping[str, Any]) -> dict[str, Any]:
    """Return the locations of a component's inputs that are not those of the other components."""
    return {
        "train_autoencoder": {"overviews": locations["patches"]},  # of the size of the patches
        "synthesise_images": {"generator": locations["latent_generator"]},
        "check_split": {"images": locations["overviews"]},
        "score_images": {"images": locations["selected"]},  # patches of the size of the real ones
    }.get(component, {})
