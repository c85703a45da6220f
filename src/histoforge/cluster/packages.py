"""Compiled pipelines, from this package or from a YAML file: the file to upload, and its parameters."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from histoforge.core.digests import digest_file
from histoforge.core.errors import SettingsError
from histoforge.core.settings import nearest

_SECRET = re.compile(r"(?i)(^|[_.-])(access_?key|secret_?key|password|passwd|token|credentials?)([_.-]|$)")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "STRING": (str, "text"),
    "NUMBER_INTEGER": (int, "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": (bool, "true or false"),
    "LIST": (list, "a list"),
    "STRUCT": (dict, "a mapping"),
}


@dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Attributes:
        name: name that Kubeflow shows, such as 'selective-augmentation'.
        path: the YAML file.
        inputs: kfp's description of each parameter, by name.
        artifacts: names of inputs that are artifacts, which cannot be given in a form.
        about: the pipeline's description.
    """

    name: str
    path: Path
    inputs: Mapping[str, Mapping[str, Any]]
    artifacts: tuple[str, ...]
    about: str

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return digest_file(self.path)

    def check(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters as the pipeline takes them; a number given for a text becomes text.

        Raises:
            SettingsError: a parameter is unknown, has the wrong type, is missing, or contains a secret.
        """
        for name, value in parameters.items():
            if name not in self.inputs:
                raise SettingsError(
                    f"The pipeline '{self.name}' has no parameter '{name}'{nearest(name, self.inputs)}."
                )
            _refuse_secrets(name, value)
        for name, description in self.inputs.items():
            if name not in parameters and not description.get("isOptional"):
                raise SettingsError(f"The pipeline '{self.name}' needs the parameter '{name}': {_about(description)}.")
        return {name: self._fitting(name, value) for name, value in parameters.items()}

    def _fitting(self, name: str, value: Any) -> Any:
        kind = str(self.inputs[name]["parameterType"])
        if kind == "STRING" and isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        accepted, expected = _KINDS[kind]
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind != "BOOLEAN"):
            raise SettingsError(f"The pipeline '{self.name}' requires {expected} for '{name}', not {value!r}.")
        return value


def package_names() -> list[str]:
    """Return the names of the pipelines that come with this package."""
    return sorted(path.stem.replace("_", "-") for path in _folder().glob("*.yaml"))


def open_package(name: str) -> Package:
    """Open a pipeline that comes with this package, or the one in a YAML file.

    Raises:
        SettingsError: there is no pipeline of that name, or the file is not a compiled pipeline.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = _folder() / f"{name.replace('-', '_')}.yaml"
        if not path.is_file():
            raise SettingsError(
                f"There is no pipeline '{name}'{nearest(name, package_names())}: choose one of "
                f"{', '.join(package_names())}, or give a compiled YAML file."
            )
    try:
        spec = next(yaml.load_all(path.read_text(encoding="utf-8"), Loader=_LOADER))
        inputs = spec["root"].get("inputDefinitions", {})
        return Package(
            name=str(spec["pipelineInfo"]["name"]),
            path=path,
            inputs=inputs.get("parameters", {}),
            artifacts=tuple(inputs.get("artifacts", {})),
            about=str(spec["pipelineInfo"].get("description", "")),
        )
    except (
        OSError,
        ValueError,
        yaml.YAMLError,
        LookupError,
        TypeError,
        AttributeError,
        StopIteration,
        RecursionError,
    ):
        raise SettingsError(f"{path} is not a compiled pipeline: give a file that kfp's compiler wrote.") from None


def _folder() -> Path:
    return Path(str(resources.files("histoforge_pipelines")))


def _about(description: Mapping[str, Any]) -> str:
    return " ".join(str(description.get("description", "give a value")).split()).rstrip(".")


def _refuse_secrets(name: str, value: Any) -> None:
    names = [name, *(value if isinstance(value, dict) else ())]
    secrets = [name for name in names if _SECRET.search(str(name))]
    if secrets or re.search(r"://[^/\s]+:[^/\s]+@", json.dumps(value)):
        raise SettingsError(
            f"The parameter '{(secrets or [name])[0]}' seems to contain a secret, but parameters are shown and logged: "
            "put it into the storage secret of the namespace."
        )
