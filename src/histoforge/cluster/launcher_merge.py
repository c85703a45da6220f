"""Adds our store to a namespace's `kfp-launcher` and keeps what others have put there.

Kubeflow's launcher takes the first of a provider's `overrides` whose bucket is the artifact's and whose prefix starts
the artifact's key, and the provider's `default` otherwise; a provider with overrides needs a default
(backend/src/v2/config/s3.go of kubeflow/pipelines at 7b70c7b).
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from histoforge.cluster.errors import ClusterError
from histoforge.core.documents import DocumentError, parse_yaml, read_yaml
from histoforge.core.errors import SettingsError

CONFIG_MAP = "kfp-launcher"
_ROOT, _PROVIDERS = "defaultPipelineRoot", "providers"


def read_launcher(path: Path) -> dict[str, str]:
    """Return the data of the config map in a YAML file.

    Raises:
        SettingsError: the file cannot be read, or is not a config map of this kind.
    """
    content = read_yaml(path, SettingsError, "write it as manifests/base/launcher.yaml is")
    try:
        data = content["data"]
        providers = _parsed(data.get(_PROVIDERS, ""))
        complete = all(override["bucketName"] for one in providers.values() for override in _overrides(one))
    except (DocumentError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise SettingsError(f"{path} has no stores for '{CONFIG_MAP}': write it as manifests/base/launcher.yaml is.")
    return {str(name): str(value) for name, value in data.items()}


def merge_launcher(there: Mapping[str, str] | None, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the data of a config map with our stores added; what others have put there is kept.

    Args:
        there: data of the config map in the namespace; None if there is none.
        wanted: data to add. A default root or a provider's default is added only if there is none.

    Raises:
        ClusterError: the providers in the namespace are not YAML, or have another entry for the same bucket and prefix.
    """
    merged = dict(there or {})
    if wanted.get(_ROOT) and not merged.get(_ROOT):
        merged[_ROOT] = wanted[_ROOT]
    try:
        providers, before = _parsed(merged.get(_PROVIDERS, "")), _parsed(merged.get(_PROVIDERS, ""))
        for scheme, provider in _parsed(wanted.get(_PROVIDERS, "")).items():
            providers[scheme] = _merged(providers.get(scheme) or {}, provider, scheme)
    except (DocumentError, TypeError, AttributeError):
        raise ClusterError(
            f"The config map '{CONFIG_MAP}' has 'providers' that cannot be read: correct them before adding to them."
        ) from None
    if providers != before:
        merged[_PROVIDERS] = yaml.safe_dump(providers, sort_keys=False)
    return merged


def describe_change(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the difference between two config maps' data as a unified diff; '' if there is none."""
    lines = difflib.unified_diff(_lines(before), _lines(after), "in the namespace", "merged", lineterm="", n=3)
    return "\n".join(lines)


def _merged(provider: Mapping[str, Any], wanted: Mapping[str, Any], scheme: str) -> dict[str, Any]:
    merged = dict(provider)
    if "default" in wanted:
        merged.setdefault("default", wanted["default"])
    name = "Overrides" if "Overrides" in merged else "overrides"
    overrides = list(_overrides(merged))
    for override in _overrides(wanted):
        same = [one for one in overrides if _place(one) == _place(override)]
        if same and same[0] != override:
            bucket, prefix = _place(override)
            raise ClusterError(
                f"The config map '{CONFIG_MAP}' has another entry of the provider '{scheme}' for the bucket '{bucket}' "
                f"with the prefix '{prefix}': remove that one, or give the same endpoint and secret."
            )
        if not same:
            overrides.insert(_position(overrides, override), override)
    if overrides:
        merged[name] = overrides
    return merged


def _position(overrides: list[Any], override: Mapping[str, Any]) -> int:
    """Return the index of the first entry that would take effect instead of an override, or the end of the list."""
    bucket, prefix = _place(override)
    for number, one in enumerate(overrides):
        other_bucket, other_prefix = _place(one)
        if other_bucket == bucket and prefix.startswith(other_prefix):
            return number
    return len(overrides)


def _place(override: Mapping[str, Any]) -> tuple[str, str]:
    return str(override.get("bucketName", "")), str(override.get("keyPrefix") or "")


def _overrides(provider: Mapping[str, Any]) -> list[Any]:
    return provider.get("overrides") or provider.get("Overrides") or []


def _parsed(text: str) -> dict[str, Any]:
    providers = parse_yaml(text) or {}
    if not isinstance(providers, dict):
        raise TypeError("providers are a mapping")
    return providers


def _lines(data: Mapping[str, str]) -> list[str]:
    return yaml.dump(dict(data), sort_keys=True, Dumper=_Dumper, width=1000).splitlines()


class _Dumper(yaml.SafeDumper):
    """Dumper that writes multi-line text as a literal block."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
