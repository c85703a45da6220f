"""The component `train_upscaler`."""

from histoforge_components.image import image_of
from kfp import dsl


@dsl.component(base_image=image_of("train_upscaler"), install_kfp_package=False)
def train_upscaler(
    patches: dsl.Input[dsl.Dataset],
    upscaler: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    autoencoder: dsl.Input[dsl.Model] = None,
    method: str = "",
    scale: int = 0,
    lpips_weights: str = "",
    lpips_sha256: str = "",
    checkpoints: str = "",
    seed: int = -1,
    fold: int = -1,
    preset: str = "",
    overrides: dict = {},
):
    """Train a network that enlarges images, and compare it with bicubic interpolation.

    Args:
        patches: patch set of real patches, at the resolution of the enlarged images; its training and validation splits
            are read.
        autoencoder: autoencoder of the latents, for the method 'latent_sr'.
        method: 'latent_sr', latent diffusion that is conditioned on the small image, or 'bsrgan', a network with a
            discriminator that learns from degraded images; '' leaves it to the preset.
        scale: factor by which images are enlarged, 2, 4 or 8; 0 leaves it to the preset.
        lpips_weights: path or s3:// address of torchvision's vgg16 weights for the perceptual loss of 'bsrgan'; ''
            leaves it to the preset.
        lpips_sha256: expected SHA-256 of that file; '' skips the check.
        checkpoints: folder or s3:// prefix for checkpoints, from which a retry on another node continues; '' for none.
        seed: seed of all random choices; -1 leaves it to the preset and the overrides.
        fold: fold of the patch set to train on, counted from 0; -1 for a patch set with a single split.
        preset: name of a preset; '' for none.
        overrides: values for any other parameters of the step, by name.

    Returns:
        upscaler: the upscaler, with pictures of enlarged validation images.
        metrics: its PSNR and SSIM on validation images, and those of bicubic interpolation.
        summary: the metrics as a table.
    """
    from histoforge.tasks.step_task import run_step

    run_step(
        "train_upscaler",
        preset=preset,
        overrides=overrides,
        given={
            "method": method,
            "scale": scale,
            "lpips_weights": lpips_weights,
            "lpips_sha256": lpips_sha256,
            "checkpoints": checkpoints,
            "seed": seed,
            "fold": fold,
        },
        inputs={"patches": patches, "autoencoder": autoencoder},
        outputs={"upscaler": upscaler},
        metrics=metrics,
        summary=summary,
    )
