"""Saved pipelines of diffusers: their files, and drawing from them.

Supported are DDPMPipeline and DDIMPipeline (a UNet2DModel of pixels, conditional on classes or one per class), and
DiTPipeline (a transformer of latents, conditional on classes). Weights are read from safetensors alone, and no code of
the folder is run.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from histoforge.core.documents import known_shape, read_json
from histoforge.core.errors import ModelError
from histoforge.core.text import join_words
from histoforge.generators.imported.explained import explained_code
from histoforge.generators.imported.fitted import FittedGenerator
from histoforge.generators.imported.kinds import COMPONENTS, INDEX
from histoforge.training.model_files import ModelInfo
from histoforge.training.tensors import explained_reading

WEIGHTS = "diffusion_pytorch_model.safetensors"
ADVICE = "save the pipeline again with save_pretrained(safe_serialization=True)"


@dataclass(frozen=True)
class SavedPipeline:
    """The content of a pipeline's folder.

    Attributes:
        config: JSON values: `pipeline` and `scheduler` (names of classes), `scheduler_config`, and `networks`, the
            settings of each network.
        state: the tensors of all networks, by '<network>.<tensor>'.
        classes: the names of the classes that it draws, in the order of its labels; numbers if it has no names; none if
            it is not conditional.
    """

    config: dict[str, Any]
    state: dict[str, Tensor]
    classes: list[str]


def read_pipeline(folder: Path) -> SavedPipeline:
    """Read a folder that `save_pretrained` of a diffusers pipeline wrote.

    Raises:
        ModelError: the pipeline is not supported, its files are missing or damaged, or its weights are no safetensors.
    """
    from safetensors.torch import load_file

    index = _json(folder / INDEX)
    name = str(index.get("_class_name"))
    if name not in COMPONENTS:
        raise ModelError(f"{folder} is a {name}, and supported are {join_words(list(COMPONENTS))}: give one of these.")
    state: dict[str, Tensor] = {}
    networks: dict[str, Any] = {}
    for part, expected in COMPONENTS[name].items():
        if index.get(part) != ["diffusers", expected]:
            raise ModelError(f"{folder / INDEX} has no {expected} of diffusers as '{part}': {ADVICE}.")
        networks[part] = _json(folder / part / "config.json")
        file = folder / part / WEIGHTS
        if not file.is_file():
            raise ModelError(f"{folder / part} has no {WEIGHTS}, and weights in other files are not read: {ADVICE}.")
        with explained_reading(file, ModelError, ADVICE):
            state |= {f"{part}.{tensor}": values for tensor, values in load_file(file).items()}
    scheduler = _scheduler_class(index, folder)
    config = {
        "pipeline": name,
        "networks": networks,
        "scheduler": scheduler,
        "scheduler_config": _json(folder / "scheduler" / "scheduler_config.json"),
    }
    with known_shape(folder / INDEX, ModelError, ADVICE):
        return SavedPipeline(config, state, _class_names(index, networks))


def _scheduler_class(index: Mapping[str, Any], folder: Path) -> str:
    """Return the name of the class of a pipeline's scheduler."""
    match index.get("scheduler"):
        case [_, str(name)] if issubclass(getattr(diffusers, name, object), diffusers.SchedulerMixin):
            return name
        case [_, name]:
            problem = f"names the scheduler '{name}', which diffusers does not have"
        case _:
            problem = "names no scheduler"
    raise ModelError(f"{folder / INDEX} {problem}: {ADVICE}.")


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(f"{path.parent} has no {path.name}: give a folder that a diffusers pipeline was saved to.")
    values = read_json(path, ModelError, ADVICE)
    if not isinstance(values, dict):
        raise ModelError(f"{path} has no entries: {ADVICE}.")
    return values


def _class_names(index: Mapping[str, Any], networks: Mapping[str, Any]) -> list[str]:
    """Return the names of the classes by label; of several names of one class, the first."""
    network = networks.get("transformer") or networks["unet"]
    count = network.get("num_embeds_ada_norm") or network.get("num_class_embeds") or 0
    names = {int(label): str(name).split(",")[0].strip() for label, name in (index.get("id2label") or {}).items()}
    return [names.get(label, str(label)) for label in range(count)]


class Denoiser:
    """A pipeline's networks and scheduler on a device."""

    def __init__(
        self, config: Mapping[str, Any], state: Mapping[str, Tensor], steps: int, guidance: float, device: torch.device
    ) -> None:
        self.device, self._steps, self._guidance = device, steps, guidance
        with explained_code("The scheduler cannot be built from its scheduler_config.json", ADVICE):
            self._scheduler = getattr(diffusers, config["scheduler"]).from_config(config["scheduler_config"])
        networks = {
            part: _network(getattr(diffusers, cls), config["networks"][part], part, state, device)
            for part, cls in COMPONENTS[config["pipeline"]].items()
        }
        self._vae = networks.get("vae")
        self._network: Any = networks.get("transformer") or networks["unet"]
        takes = inspect.signature(self._scheduler.step).parameters
        self._takes_generator = "generator" in takes

    def __call__(self, labels: Tensor | None, count: int, rng: torch.Generator) -> Tensor:
        """Draw `count` images, float32 [count, 3, H, W] in [-1, 1], of the network's own labels, int64 [count]."""
        shape = self._network.config
        side = shape.sample_size
        height, width = (side, side) if isinstance(side, int) else side
        images = torch.randn(count, shape.in_channels, height, width, generator=rng).to(self.device)
        self._scheduler.set_timesteps(self._steps)
        images = images * self._scheduler.init_noise_sigma
        step_options = {"generator": rng} if self._takes_generator else {}
        for time in self._scheduler.timesteps:
            noise = self._noise(self._scheduler.scale_model_input(images, time), time, labels)
            images = self._scheduler.step(noise, time, images, **step_options).prev_sample
        if self._vae is not None:
            images = self._vae.decode(images / self._vae.config.scaling_factor).sample
        return images.float().clamp(-1, 1)

    def _noise(self, images: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        """Predict the noise in images; a learned variance, in further channels, is left out."""
        times = time.to(self.device).expand(len(images))
        if labels is None:
            return _mean(self._network(images, times).sample, images)
        labels = labels.to(self.device)
        noise = _mean(self._network(images, times, class_labels=labels).sample, images)
        if self._guidance == 1:
            return noise
        unknown = torch.full_like(labels, self._network.config.num_embeds_ada_norm)
        without = _mean(self._network(images, times, class_labels=unknown).sample, images)
        return without + self._guidance * (noise - without)


def _mean(output: Tensor, images: Tensor) -> Tensor:
    return output[:, : images.shape[1]]


def _network(cls: Any, settings: dict[str, Any], part: str, state: Mapping[str, Tensor], device: torch.device) -> Any:
    with explained_code(f"The {part} cannot be built from its config.json", ADVICE):
        network: nn.Module = cls.from_config(settings)
    try:
        network.load_state_dict(_tensors_of(part, state))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"The weights of the {part} do not fit its config.json ({reason}): {ADVICE}.") from None
    return network.to(device).eval()


def _tensors_of(part: object, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with '<part>.', by the rest of their names."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


class PipelineSampler:
    """One pipeline that is conditional on classes, or one unconditional pipeline per class."""

    def __init__(self, denoisers: Sequence[Denoiser], conditional: bool) -> None:
        self._denoisers, self._conditional = denoisers, conditional

    def __call__(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw images of the pipelines' own labels, int64 [B] on the CPU: float32 [B, 3, H, W] in [-1, 1]."""
        if self._conditional:
            return self._denoisers[0](labels, len(labels), rng)
        counts = labels.bincount(minlength=len(self._denoisers)).tolist()
        drawn = {label: self._denoisers[label](None, count, rng) for label, count in enumerate(counts) if count}
        images = torch.empty(len(labels), *next(iter(drawn.values())).shape[1:], device=self._denoisers[0].device)
        for label, of_class in drawn.items():
            images[labels == label] = of_class
        return images


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> FittedGenerator:
    """Load the generator of a model directory that `import_generator` wrote."""
    config = info.config
    denoisers = [
        Denoiser(pipeline, _tensors_of(number, state), config["steps"], config["guidance"], device)
        for number, pipeline in enumerate(config["pipelines"])
    ]
    return FittedGenerator(info, PipelineSampler(denoisers, config["conditional"]), device)
