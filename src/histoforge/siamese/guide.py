"""A trained MFT-SNN as a guide: a frozen network that measures the similarity of patches."""

from pathlib import Path

import torch
from torch import Tensor

from histoforge.core.errors import ModelError
from histoforge.patches.matching import PatchFormat, check_same_format
from histoforge.patches.patchset import PatchSet
from histoforge.siamese.network import IMAGENET_MEAN, IMAGENET_STD, MftSnn
from histoforge.training.device import autocast
from histoforge.training.model_files import ModelInfo, load_model

METHOD = "mft_snn"
NORMALISATION = {"range": [-1.0, 1.0], "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)}
"""Input range of a guide, and the mean and standard deviation (of images in [0, 1]) that it normalises images to."""

SAME_MPP = 0.05


class Guide:
    """A frozen MFT-SNN.

    Attributes:
        info: the model's description; its kind is 'guide'.
        network: in evaluation mode, channels_last, without gradients for its weights.
        device, dtype: device and precision of its computations.
    """

    def __init__(self, info: ModelInfo, network: MftSnn, device: torch.device, dtype: torch.dtype) -> None:
        self.info, self.device, self.dtype = info, device, dtype
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval().requires_grad_(False)

    @property
    def name(self) -> str:
        """The guide's name in results: its method and the first digits of its digest."""
        return f"{self.info.method} {self.info.digest[:8]}".strip()

    @property
    def digest(self) -> str:
        """The digest of its model."""
        return self.info.digest

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Compute embeddings, float32 [B, D] (D = 512 at width 1), of length 1 and without negative values.

        The cosine of two embeddings, in [0, 1], is the similarity of their images.

        Args:
            images: float [B, 3, H, W] in [-1, 1], on any device.
        """
        images = images.to(self.device, memory_format=torch.channels_last)
        with autocast(self.device, self.dtype):
            return self.network(images)

    def check_fits(self, classes: list[str], patch_size: tuple[int, int], mpp: float | None, where: str) -> None:
        """Check that the guide fits patches of these classes, this size and this resolution.

        Args:
            classes: class names in the order of the labels.
            patch_size: height and width, px.
            mpp: um/px, or None where it is unknown.
            where: name of the patches in the message.

        Raises:
            ModelError: the guide was trained on other classes, another patch size or another resolution.
        """
        subject, advice = f"The guide {self.name} was trained", "run finetune_snn on that patch set"
        check_same_format(f"{subject} on", self.info, where, PatchFormat(classes, patch_size), advice)
        trained_at = self.info.mpp
        if trained_at and mpp and abs(trained_at - mpp) > SAME_MPP * trained_at:
            raise ModelError(f"{subject} at {trained_at:.3g} um/px, and {where} has {mpp:.3g} um/px: {advice}.")

    def check_patches(self, patches: PatchSet, where: str) -> None:
        """Run `check_fits` on a patch set, and check that its stain normalisation is that of the guide's patches.

        Args:
            patches: real patches.
            where: name of the patches in the message.

        Raises:
            ModelError: the guide was trained on other patches.
        """
        self.check_fits(patches.classes, patches.patch_size, patches.info.mpp, where)
        stain, other_stain = self.info.config.get("stain", ""), patches.stain
        if stain and other_stain and stain != other_stain:
            raise ModelError(
                f"The guide {self.name} was trained on patches with the stain normalisation '{stain}', and {where} has "
                f"'{other_stain}': run finetune_snn on that patch set."
            )


def load_guide(path: Path, device: torch.device, dtype: torch.dtype) -> Guide:
    """Load a trained guide.

    Args:
        path: the model directory.
        device: where to compute.
        dtype: precision of the computations, float32 or bfloat16.

    Raises:
        ModelError: the model is missing, damaged or not a guide, or was trained with another normalisation.
    """
    info, state = load_model(path, "guide")
    if info.method != METHOD:
        raise ModelError(
            f"The guide {path} has the method '{info.method}', which this version does not support: run finetune_snn "
            "again."
        )
    if info.config.get("normalisation") != NORMALISATION:
        raise ModelError(
            f"The guide {path} was trained on images of another normalisation ({info.config.get('normalisation')}, not "
            f"{NORMALISATION}): run finetune_snn again with this version."
        )
    network = MftSnn(info.config["width"])
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise ModelError(f"The weights in {path} do not fit its description: run finetune_snn again.") from None
    return Guide(info, network, device, dtype)
