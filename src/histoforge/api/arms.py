"""Arms: classifiers that were trained in one way, one per seed."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.api.patches import Patches, as_path
from histoforge.api.running import PRESET, Settings, run_step
from histoforge.classifiers.arms import load_arm as load_classifiers
from histoforge.classifiers.arms import read_arm
from histoforge.core.errors import PatchSetError
from histoforge.patches.device import to_unit
from histoforge.training.device import resolve_device

BATCH = 256


class Arm:
    """Trained classifiers, one per seed.

    Attributes:
        path: directory of the arm.
        name: its name, such as 'baseline'.
        classes: class names, in the order of the probabilities.
        patch_size: height and width of the patches that it takes, px.
        seeds: the seeds.
        val_accuracy: accuracy on the validation split, by seed.
    """

    def __init__(self, path: Path, device: str) -> None:
        content = read_arm(path)
        self.path = path
        self.name: str = content["arm"]
        self.classes: list[str] = content["classes"]
        self.patch_size: tuple[int, int] = (content["patch_size"][0], content["patch_size"][1])
        self.seeds: list[int] = content["seeds"]
        self.val_accuracy: dict[int, float] = {run["seed"]: run["val_accuracy"] for run in content["runs"]}
        self._classifiers = load_classifiers(path, resolve_device(device))

    @torch.inference_mode()
    def predict(self, images: NDArray[np.uint8] | Tensor) -> NDArray[np.float32]:
        """Return the probability of each class, the mean over the seeds, float32 [N, classes].

        Args:
            images: uint8 [N, H, W, 3], or float [N, 3, H, W] in [-1, 1].

        Raises:
            HistoforgeError: the images have another size than the patches that it was trained on.
        """
        batch = images if isinstance(images, Tensor) else to_unit(torch.from_numpy(images).permute(0, 3, 1, 2))
        if batch.ndim != 4 or tuple(batch.shape[2:]) != self.patch_size:
            raise PatchSetError(
                f"The arm '{self.name}' takes images of {self.patch_size[0]}x{self.patch_size[1]} px, and these are "
                f"{tuple(images.shape)}: resize them."
            )
        device = next(self._classifiers[0].parameters()).device
        parts = [
            torch.stack([classifier(part.to(device)).softmax(1) for classifier in self._classifiers]).mean(0).cpu()
            for part in batch.split(BATCH)
        ]
        return torch.cat(parts).numpy()


def load_arm(path: str | Path, device: str = "auto") -> Arm:
    """Load an arm that `train_arm` or `histoforge train-classifier` wrote.

    Args:
        path: its directory.
        device: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        HistoforgeError: it is missing or damaged.
    """
    return Arm(Path(path), device)


def train_arm(
    patches: Patches | str | Path,
    out: str | Path,
    *,
    name: str = "baseline",
    synthetic: Patches | str | Path | None = None,
    settings: Settings | None = None,
    preset: str = PRESET,
    overwrite: bool = False,
) -> Arm:
    """Train the classifiers of an arm on the training split, and choose their epochs by the validation split.

    Args:
        patches: real patches.
        out: directory to write.
        name: name of the arm in the report.
        synthetic: synthetic patches to add to the real ones.
        settings: parameters of `train_classifier`, such as {'seeds': 5, 'augmentation': 'traditional'}.
        preset: name of a preset, or ''.
        overwrite: whether another arm at `out` may be replaced.

    Raises:
        HistoforgeError: a setting or the patches cannot be used, or `out` may not be written.
    """
    inputs = {"patches": as_path(patches), "synthetic": None if synthetic is None else as_path(synthetic)}
    run_step(
        "train_classifier", out, inputs, given={"arm": name}, settings=settings, preset=preset, overwrite=overwrite
    )
    return load_arm(out)
