"""`histoforge presets`: show the settings that come with the program."""

from importlib import resources

import yaml

from histoforge.core.settings import load_preset, preset_names


def show_presets() -> None:
    """Print the name and description of each preset."""
    width = max((len(name) for name in preset_names()), default=0)
    for name in preset_names():
        print(f"{name:<{width}}  {' '.join(_description(name).split())}")


def show_preset(name: str) -> None:
    """Print the settings of a preset, one section per step.

    Raises:
        SettingsError: if no preset has that name.
    """
    print(yaml.safe_dump(load_preset(name), sort_keys=False), end="")


def _description(name: str) -> str:
    text = (resources.files("histoforge") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return str(yaml.safe_load(text).get("description", ""))
