"""Generators, and the selection of what they draw."""

from pathlib import Path

import torch
from torch import Tensor

from histoforge.api.arms import Arm
from histoforge.api.patches import Patches, as_path, open_patches
from histoforge.api.running import PRESET, Settings, run_step
from histoforge.core.errors import SettingsError
from histoforge.core.seeds import derive_seed
from histoforge.core.settings import nearest
from histoforge.generators.loading import load_generator as load_any


class Generator:
    """A trained generator of any method.

    Attributes:
        path: directory of the model.
        method: its method, such as 'stylegan2'.
        classes: names of the classes that it draws.
        patch_size: height and width, px.
        mpp: micrometres per pixel of what it draws, or None if unknown.
        digest: SHA-256 of the model, its identity.
    """

    def __init__(self, path: Path, device: str) -> None:
        self._generator = load_any(path, device)
        info = self._generator.info
        self.path = path
        self.method: str = info.method
        self.classes: list[str] = info.classes
        self.patch_size: tuple[int, int] = info.patch_size
        self.mpp: float | None = info.mpp
        self.digest: str = info.digest

    def sample(self, class_name: str, count: int, *, seed: int = 0) -> Tensor:
        """Draw patches of a class, float32 [count, 3, H, W] in [-1, 1] on the CPU; equal seeds give equal patches.

        Raises:
            HistoforgeError: the generator has no such class, or `count` is below 1.
        """
        if class_name not in self.classes or count < 1:
            raise SettingsError(
                f"sample: the generator draws 1 patch or more of {', '.join(self.classes)}, and {count} of "
                f"'{class_name}' were asked for{nearest(class_name, self.classes)}: choose one of these classes."
            )
        labels = torch.full((count,), self.classes.index(class_name), dtype=torch.int64)
        rng = torch.Generator().manual_seed(derive_seed(seed, "sample", class_name))
        return self._generator.sample(labels, rng).float().cpu()


def load_generator(path: str | Path, device: str = "auto") -> Generator:
    """Load a generator.

    Args:
        path: its directory.
        device: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        HistoforgeError: it is missing, damaged, or not a generator.
    """
    return Generator(Path(path), device)


def train_generator(
    patches: Patches | str | Path,
    out: str | Path,
    *,
    method: str = "",
    extractor: Arm | str | Path | None = None,
    settings: Settings | None = None,
    preset: str = PRESET,
    overwrite: bool = False,
) -> Generator:
    """Train a generator on the training split.

    Args:
        patches: real patches.
        out: directory to write.
        method: 'histogan', 'stylegan2', 'ddpm' or any other; '' for that of the preset.
        extractor: arm of real patches whose features choose the epoch by FID; None keeps the last epoch.
        settings: parameters of `train_generator`, such as {'epochs': 20}.
        preset: name of a preset, or ''.
        overwrite: whether another generator at `out` may be replaced.

    Raises:
        HistoforgeError: a setting or the patches cannot be used, or `out` may not be written.
    """
    inputs = {"patches": as_path(patches), "extractor": None if extractor is None else _arm_path(extractor)}
    given = {"method": method} if method else {}
    run_step("train_generator", out, inputs, given=given, settings=settings, preset=preset, overwrite=overwrite)
    return load_generator(out)


def select(
    patches: Patches | str | Path,
    extractor: Arm | str | Path,
    out: str | Path,
    *,
    generator: Generator | str | Path,
    rule: str = "",
    ratio: float = 0.0,
    settings: Settings | None = None,
    preset: str = PRESET,
    overwrite: bool = False,
) -> Patches:
    """Draw candidates from a generator, and keep those that a rule selects: the step `select_samples`.

    Args:
        patches: real patches, whose training split decides how many of each class are kept.
        extractor: arm of real patches that scores the candidates.
        out: folder to write: `selected` and `pool`.
        generator: the generator.
        rule: 'entropy_centroid', 'distance', 'random', 'confidence', or one of an installed package; '' for that of the
            preset.
        ratio: kept patches per real training patch; 0 for that of the preset.
        settings: further parameters of the step, such as {'passes': 5}.
        preset: name of a preset, or ''.
        overwrite: whether another result at `out` may be replaced.

    Returns:
        The selected patches; their scores are columns of `table`.

    Raises:
        HistoforgeError: a setting or an input cannot be used, nothing is kept, or `out` may not be written.
    """
    drawn_by = generator.path if isinstance(generator, Generator) else Path(generator)
    inputs = {"patches": as_path(patches), "extractor": _arm_path(extractor), "generator": drawn_by}
    given = {name: value for name, value in (("rule", rule), ("ratio", ratio)) if value}
    run_step("select_samples", out, inputs, given=given, settings=settings, preset=preset, overwrite=overwrite)
    return open_patches(Path(out) / "selected")


def _arm_path(given: Arm | str | Path) -> Path:
    return given.path if isinstance(given, Arm) else Path(given)
