"""The methods by name, each with its settings, and the combined settings of all methods; imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Optional

from pydantic import Field
from pydantic.fields import FieldInfo

from histoforge.core.errors import SettingsError
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
from histoforge.generators.rleo.config import RleoConfig


@dataclass(frozen=True)
class Method:
    """A published method of generation.

    Attributes:
        name: its name in settings and in `model.json`.
        config_class: its settings with its own defaults.
        package: its package. The module `train` has `train(config, data, engine, judge, info) -> TrainingResult`, the
            module `trained` has `load(info, state, device) -> Generator`, and the module `geometry`, which imports
            nothing heavy, has `check_size(config, patch_size, method)`.
        guided: whether `train` also takes a guide, as `guide`.
    """

    name: str
    config_class: type[GeneratorConfig]
    package: str
    guided: bool = False

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


_DCGAN = "histoforge.generators.dcgan"

METHODS = {
    method.name: method
    for method in (
        Method("histogan", HistoganConfig, "histoforge.generators.histogan"),
        Method("dcgan", DcganConfig, _DCGAN),
        Method("improved_dcgan", ImprovedDcganConfig, _DCGAN),
        Method("sngan", SnganConfig, _DCGAN),
        Method("wgan_gp", WganGpConfig, _DCGAN),
        Method("lsgan", LsganConfig, _DCGAN),
        Method("rleo", RleoConfig, "histoforge.generators.rleo", guided=True),
        Method("ddpm", DdpmConfig, "histoforge.generators.ddpm"),
    )
}


def own_config(method: str, values: Mapping[str, Any]) -> GeneratorConfig:
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
    for method, field in fields.items():
        value = field.default
        text = ("yes" if value else "no") if isinstance(value, bool) else str(value) or "''"
        methods.setdefault(text, []).append(method)
    return "; ".join(f"{value} for {', '.join(names)}" for value, names in methods.items())
