"""The registry of methods, and the combined settings of all methods; imports nothing heavy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Any, Optional

from pydantic import Field
from pydantic.fields import FieldInfo

from histoforge.core.errors import SettingsError
from histoforge.core.registry import Registry
from histoforge.core.settings import nearest
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.dcgan.config import (
    DcganConfig,
    ImprovedDcganConfig,
    LsganConfig,
    SnganConfig,
    WganGpConfig,
)
from histoforge.generators.ddpm.config import DdpmConfig
from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.pathup.config import ALIGNMENTS, PathupConfig
from histoforge.generators.rleo.config import REWARDS, RleoConfig
from histoforge.generators.stylegan2.config import Stylegan2Config
from histoforge.generators.vitgan.config import MedvitganConfig, VitganConfig
from histoforge.generators.vqgan.config import VqganConfig


@dataclass(frozen=True)
class Method:
    """A published method of generation.

    Attributes:
        name: its name in settings and in `model.json`.
        config_class: its settings with its own defaults.
        package: its package. The module `train` has `train(config, data, engine, scorer, info) -> TrainingResult`, the
            module `trained` has `load(info, state, device) -> Generator`, and the module `geometry`, which imports
            nothing heavy, has `check_size(config, patch_size, method)`.
        latent: True if it trains on latents: `train` also takes them and their autoencoder, as `latents` and
            `autoencoder`.
        guided: True if `train` also takes a guide, as `guide`.
        classifies: True if it trains a classifier together with the generator: `train` also takes the validation
            patches, as `validation`, and its result has a `classifier`.
        variant_parameter: the parameter that distinguishes variants of the method, such as `reward`; '' for none. Each
            variant is a separate entry of a leaderboard, with a title such as 'rleo:literal'.
        variant_label: the words for that parameter on the leaderboard's page.
        variants: a description of each of its values, for the same page.
        control: the variant with which the others are compared there; '' for no comparison.
    """

    name: str
    config_class: type[GeneratorConfig]
    package: str
    latent: bool = False
    guided: bool = False
    classifies: bool = False
    variant_parameter: str = ""
    variant_label: str = ""
    variants: Mapping[str, str] = field(default_factory=dict)
    control: str = ""

    @property
    def needs_models(self) -> bool:
        """True if `train` takes models besides the extractor, so that it cannot be run on patches alone."""
        return self.guided or self.latent

    def config(self, values: Mapping[str, Any]) -> GeneratorConfig:
        """Build its settings from those of `values` that it has; None stands for its own default."""
        fields = self.config_class.model_fields
        return self.config_class.make(
            {name: value for name, value in values.items() if name in fields and value is not None}
        )

    def check_size(self, config: GeneratorConfig, patch_size: tuple[int, int]) -> None:
        """Check that the method can draw a patch size, (height, width) in px.

        Raises:
            SettingsError: it cannot; the message suggests nearby sizes.
        """
        import_module(f"{self.package}.geometry").check_size(config, patch_size, self.name)

    @property
    def train(self) -> Callable[..., Any]:
        """The function `train` of its package. Imports torch."""
        train: Callable[..., Any] = import_module(f"{self.package}.train").train
        return train

    @property
    def load(self) -> Callable[..., Any]:
        """The function `load` of its package. Imports torch."""
        load: Callable[..., Any] = import_module(f"{self.package}.trained").load
        return load

    def variant(self, values: Mapping[str, Any]) -> str:
        """Return the variant that its settings select, by name; '' if it has none."""
        return str(values.get(self.variant_parameter) or "") if self.variant_parameter else ""


METHODS = Registry(
    "method",
    [
        Method("histogan", HistoganConfig, "histoforge.generators.histogan"),
        Method("dcgan", DcganConfig, "histoforge.generators.dcgan"),
        Method("improved_dcgan", ImprovedDcganConfig, "histoforge.generators.dcgan"),
        Method("sngan", SnganConfig, "histoforge.generators.dcgan"),
        Method("wgan_gp", WganGpConfig, "histoforge.generators.dcgan"),
        Method("lsgan", LsganConfig, "histoforge.generators.dcgan"),
        Method(
            "rleo",
            RleoConfig,
            "histoforge.generators.rleo",
            guided=True,
            variant_parameter="reward",
            variant_label="the guide's reward",
            variants=REWARDS,
            control="literal",
        ),
        Method("ddpm", DdpmConfig, "histoforge.generators.ddpm"),
        Method(
            "pathup",
            PathupConfig,
            "histoforge.generators.pathup",
            latent=True,
            variant_parameter="alignment",
            variant_label="the alignment",
            variants=ALIGNMENTS,
            control="none",
        ),
        Method("vitgan", VitganConfig, "histoforge.generators.vitgan", classifies=True),
        Method("medvitgan", MedvitganConfig, "histoforge.generators.vitgan", classifies=True),
        Method("stylegan2", Stylegan2Config, "histoforge.generators.stylegan2"),
        Method("vqgan", VqganConfig, "histoforge.generators.vqgan"),
    ],
)


def title(method: str, variant: str = "") -> str:
    """Return the title of a method in comparisons, such as 'dcgan', or 'rleo:literal' for one of its variants."""
    return f"{method}:{variant}" if variant else method


def parse_title(text: str) -> tuple[Method, str]:
    """Return the method and the variant of a title; the variant is '' if the title names none.

    Raises:
        SettingsError: there is no such method, or it has no variants. Its settings check the variant's name.
    """
    name, _, variant = text.partition(":")
    method = METHODS.named(name)
    if variant and not method.variant_parameter:
        raise SettingsError(f"'{text}' names a variant, but the method '{name}' has none: write '{name}'.")
    return method, variant


def method_config(method: str, values: Mapping[str, Any]) -> GeneratorConfig:
    """Build the settings of a method from values by name, where None stands for the method's own default.

    Raises:
        SettingsError: the method lacks a parameter for which a value is given (the message suggests the nearest name).
    """
    fields = METHODS[method].config_class.model_fields
    for name, value in values.items():
        if value is not None and name not in fields:
            raise SettingsError(
                f"train_generator: the method '{method}' has no parameter '{name}'{nearest(name, fields)}: leave it "
                "out, or choose a method that has it."
            )
    return METHODS[method].config(values)


def merged_fields() -> dict[str, Any]:
    """Return the parameters of all methods, as `pydantic.create_model` takes them.

    Parameters that all methods have with the same default are left out, since they belong to `GeneratorConfig`. Each of
    the others may be None, which stands for the method's own default, given in the description. Each method checks the
    bounds that methods do not share.
    """
    names = dict.fromkeys(name for method in METHODS.values() for name in method.config_class.model_fields)
    return {name: _merged(name) for name in names if not _is_shared(name)}


def _is_shared(name: str) -> bool:
    if name not in GeneratorConfig.model_fields:
        return False
    default = GeneratorConfig.model_fields[name].default
    return all(method.config_class.model_fields[name].default == default for method in METHODS.values())


def _merged(name: str) -> tuple[Any, Any]:
    fields = {
        method.name: method.config_class.model_fields[name]
        for method in METHODS.values()
        if name in method.config_class.model_fields
    }
    first = next(iter(fields.values()))
    if any(field.annotation != first.annotation for field in fields.values()):
        raise TypeError(f"the parameter '{name}' is not of the same type for {', '.join(fields)}")
    bounds = [bound for bound in first.metadata if all(bound in field.metadata for field in fields.values())]
    about = Field(description=f"{first.description} ({_defaults(fields)})", json_schema_extra=first.json_schema_extra)
    return Annotated[(Optional[first.annotation], about, *bounds)], None  # noqa: UP045 - a value


def _defaults(fields: Mapping[str, FieldInfo]) -> str:
    """Format the defaults: '100 for dcgan, sngan; 128 for histogan'."""
    methods: dict[str, list[str]] = {}
    for method, setting in fields.items():
        value = setting.default
        text = ("yes" if value else "no") if isinstance(value, bool) else str(value) or "''"
        methods.setdefault(text, []).append(method)
    return "; ".join(f"{value} for {', '.join(names)}" for value, names in methods.items())
