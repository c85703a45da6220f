"""The kinds of imported generators, and the entry that another package registers. Imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from histoforge.core.errors import SettingsError
from histoforge.core.plugins import installed_entries
from histoforge.core.registry import Registry
from histoforge.core.settings import nearest
from histoforge.generators.imported.explained import explained_code

GROUP = "histoforge.generators"
"""The group of entry points in which other packages name an `InstalledGenerator`."""
ADVICE = "give the weights that it asks for, or another version of the package"

INDEX = "model_index.json"
"""The file that describes a saved pipeline of diffusers."""
COMPONENTS = {
    "DDPMPipeline": {"unet": "UNet2DModel"},
    "DDIMPipeline": {"unet": "UNet2DModel"},
    "DiTPipeline": {"transformer": "DiTTransformer2DModel", "vae": "AutoencoderKL"},
}
"""The supported pipelines, with the class of each of their networks."""


@dataclass(frozen=True)
class ImportedKind:
    """A kind of imported generators.

    Attributes:
        name: the `method` in their `model.json`.
        module: the module with `load(info, state, device) -> Generator`.
    """

    name: str
    module: str

    @property
    def load(self) -> Callable[..., Any]:
        """The function `load` of its module. Imports torch."""
        load: Callable[..., Any] = import_module(self.module).load
        return load


IMPORTED = Registry(
    "kind of imported generators",
    (
        ImportedKind("diffusers", "histoforge.generators.imported.diffusers_pipeline"),
        ImportedKind("installed", "histoforge.generators.imported.installed"),
    ),
)


@dataclass(frozen=True)
class InstalledGenerator:
    """A generator of another installed package.

    Attributes:
        name: its name.
        load: 'module:function' with `load(state, device) -> sample`. `state` has the tensors of the safetensors file
            that was given at the import, by name. `sample(labels, rng)` takes int64 [B] on the CPU, indices into
            `classes`, and a `torch.Generator` on the CPU, and returns float32 [B, 3, H, W] in [-1, 1].
        classes: the classes that it draws.
        size: height and width of its images, px.
        mpp: their resolution, um/px; 0 if unknown.
        licence: licence of its images.
    """

    name: str
    load: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    mpp: float = 0.0
    licence: str = ""

    def build(self, state: dict[str, Any], device: Any) -> Callable[..., Any]:
        """Return the function `sample`. Imports the package's code.

        Raises:
            ModelError: the package's code raises an exception.
        """
        module, _, function = self.load.partition(":")
        with explained_code(f"The package of the generator '{self.name}' cannot load it", ADVICE):
            sample: Callable[..., Any] = getattr(import_module(module), function)(state, device)
        return sample


def installed_generator(name: str) -> InstalledGenerator:
    """Return the generator of that name of an installed package.

    Raises:
        SettingsError: there is none.
    """
    entries = {entry.name: entry for _, entry in installed_entries(GROUP, InstalledGenerator)}
    if name not in entries:
        installed = f"installed are {', '.join(entries)}" if entries else "none is installed"
        raise SettingsError(
            f"No installed package has a generator '{name}'{nearest(name, entries)}: {installed}, so install the "
            f"package that names it in the group {GROUP}."
        )
    return entries[name]
