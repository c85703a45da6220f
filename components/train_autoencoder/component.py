"""The component `train_autoencoder`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("train_autoencoder"), install_kfp_package=False)
def train_autoencoder(
    patches: dsl.Input[dsl.Dataset],
    autoencoder: dsl.Output[dsl.Model],
    latents: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    overviews: dsl.Input[dsl.Dataset] = None,
    extractor: dsl.Input[dsl.Model] = None,
    weights: str = "",
    weights_sha256: str = "",
    lpips_weights: str = "",
    lpips_sha256: str = "",
    checkpoints: str = "",
    seed: int = -1,
    fold: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Train the autoencoder of latent diffusion, or take given weights, and encode all images once.

    Args:
        patches: patch set of real patches; its training and validation splits are read.
        overviews: overviews of the same size and the same split, the second spatial level.
        extractor: classifier or arm for the FID of the reconstructions; without it there is none.
        weights: path or s3:// address of published weights, with diffusers' config.json beside them; '' leaves it to
            the preset.
        weights_sha256: expected SHA-256 of the weights file; '' skips the check.
        lpips_weights: path or s3:// address of torchvision's vgg16 weights for the perceptual term; '' leaves it to the
            preset.
        lpips_sha256: expected SHA-256 of that file; '' skips the check.
        checkpoints: folder or s3:// prefix for checkpoints, from which a retry on another node continues; '' for none.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        fold: fold of the patch set to train on, counted from 0; -1 for a patch set with a single split.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        autoencoder: the autoencoder, with pictures of reconstructions.
        latents: latents of the training and validation images and their flips.
        metrics: reconstruction error by level, size of the latents, number of steps.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "train_autoencoder",
        preset=preset,
        overrides=overrides,
        given={
            "weights": weights,
            "weights_sha256": weights_sha256,
            "lpips_weights": lpips_weights,
            "lpips_sha256": lpips_sha256,
            "checkpoints": checkpoints,
            "seed": seed,
            "fold": fold,
        },
        inputs={"patches": patches, "overviews": overviews, "extractor": extractor},
        outputs={"autoencoder": autoencoder, "latents": latents},
        metrics=metrics,
        summary=summary,
    )
