"""The preset of a single step if the command line names none."""

from typing import Any

from histoforge.core.settings import DEFAULT_PRESET, load_preset
from histoforge.steps.table import Step


def preset_of(step: Step, values: dict[str, Any]) -> tuple[str, str]:
    """Return the preset of a command line and a message about it: the named one, or `quickstart` without a GPU.

    The full-size defaults of the settings classes are meant for a GPU: on a CPU, one training step with them can take
    most of a minute. `--preset ''` selects them nevertheless. Components do not use this function: their empty preset
    means these defaults wherever they run.

    Args:
        step: the step.
        values: values of the command's options by name.
    """
    preset = values["preset"]
    if preset is not None:
        return str(preset), ""
    sections = {section.partition(".")[0] for section in load_preset(DEFAULT_PRESET)}
    if step.name not in sections or _has_gpu():
        return "", ""
    return DEFAULT_PRESET, (
        f"There is no GPU here, so the settings begin with the preset {DEFAULT_PRESET}, which is made for two cores: "
        "--preset NAME chooses another one, --preset '' the full-size defaults."
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
