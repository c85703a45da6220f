"""Parameters and summary of the step `train_autoencoder`."""

from pydantic import Field, model_validator

from histoforge.autoencoder.architecture import Architecture
from histoforge.core.settings import FoldConfig, Settings, TrainingConfig


class TrainAutoencoderConfig(TrainingConfig, FoldConfig):
    """Settings of the autoencoder of latent diffusion, and of the latents that it encodes.

    "High-Resolution Image Synthesis with Latent Diffusion Models" (Rombach et al. 2022), section 3.1 and appendix G.
    PathUp takes Stable Diffusion's autoencoder as given (its section 3.1): `weights`.
    """

    weights: str = Field(
        "",
        description="path or s3:// address of published weights, a .safetensors file of diffusers' AutoencoderKL with "
        "its config.json beside it, which are used as they are; '' trains an autoencoder",
    )
    weights_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="required SHA-256 of the weights file; '' for no check"
    )
    channels: int = Field(
        64,
        ge=4,
        le=512,
        multiple_of=4,
        description="channels of the first level; later ones have twice, then four times as many",
    )
    levels: int = Field(
        3,
        ge=1,
        le=6,
        description="levels, each half the size of the previous one: a latent has 2^(levels - 1) px a side",
    )
    level_blocks: int = Field(1, ge=1, le=4, description="residual blocks of each level of the encoder")
    latent_channels: int = Field(4, ge=1, le=64, description="channels of the latents")
    attention: bool = Field(True, description="whether the smallest level has self-attention")
    kl_weight: float = Field(1e-6, ge=0, description="weight of the KL divergence (Rombach et al. 2022, appendix G)")
    lpips_weights: str = Field(
        "",
        description="path or s3:// address of torchvision's vgg16 weights for LPIPS, the perceptual term of the loss; "
        "'' leaves the term out",
    )
    lpips_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="required SHA-256 of that file; '' for no check"
    )
    perceptual_weight: float = Field(1.0, gt=0, description="weight of the perceptual term, where there is one")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, constant")
    batch_size: int = Field(16, ge=1, le=8192, description="images per step", json_schema_extra={"unit": "images"})
    epochs: int = Field(50, ge=1, description="passes over all training images", json_schema_extra={"unit": "epochs"})
    epoch_steps: int = Field(
        0, ge=0, description="steps per epoch; 0 for one pass", json_schema_extra={"unit": "steps"}
    )
    flips: bool = Field(True, description="whether to train on flipped images, too, and to encode the flips of each")
    checked: int = Field(
        1000,
        ge=2,
        description="validation images of each level on which the reconstruction error is measured",
        json_schema_extra={"unit": "images"},
    )

    @property
    def architecture(self) -> Architecture:
        """The architecture of the autoencoder to train."""
        return Architecture(
            block_out_channels=tuple(self.channels * min(2**level, 4) for level in range(self.levels)),
            layers_per_block=self.level_blocks,
            latent_channels=self.latent_channels,
            norm_num_groups=min(self.channels // 4, 32),
            mid_block_add_attention=self.attention,
        )

    @model_validator(mode="after")
    def _checksum_has_its_file(self) -> "TrainAutoencoderConfig":
        if self.weights_sha256 and not self.weights:
            raise ValueError("weights_sha256 is the checksum of weights: set weights as well, or leave both out")
        return self


class LevelError(Settings):
    """The reconstruction error of one level; see `autoencoder.reconstruction.ReconstructionError`."""

    images: int
    psnr: float
    ssim: float
    fid: float | None


class TrainAutoencoderSummary(Settings):
    """The result of training an autoencoder, and the latents.

    Attributes:
        weights: the given weights, or 'trained'.
        factor: pixels per side of one latent.
        latent: channels, height and width of the latents of one image.
        scale: factor on the latents that gives them unit variance.
        parameters: number of weights.
        steps: training steps; 0 for given weights.
        encoded: number of encoded images, without their flips.
        bytes: size of the latents on the disk.
        reconstruction: the error on validation images by level, 'patch' and 'overview': images, PSNR (dB), SSIM, and
            FID if an extractor was given.
        extractor: the extractor of the FID, or ''.
        perceptual: name of the perceptual distance, or ''.
        precision, device: numerical precision and device.
        digest: the autoencoder's identity.
        warnings: one sentence per warning.
    """

    weights: str
    factor: int
    latent: tuple[int, int, int]
    scale: float
    parameters: int
    steps: int
    encoded: int
    bytes: int
    reconstruction: dict[str, LevelError]
    extractor: str
    perceptual: str
    precision: str
    device: str
    digest: str
    warnings: list[str]
