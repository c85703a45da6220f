"""Generators of other installed packages."""

import torch
from torch import Tensor

from histoforge.generators.imported.fitted import FittedGenerator
from histoforge.generators.imported.kinds import installed_generator
from histoforge.training.model_files import ModelInfo


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> FittedGenerator:
    """Load the generator of a model directory that `import_generator` wrote.

    Raises:
        SettingsError: its package is not installed.
    """
    return FittedGenerator(info, installed_generator(info.config["entry_point"]).build(state, device), device)
