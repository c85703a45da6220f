"""The configuration of Kubeflow's launcher in a namespace: the object stores that pods can reach, and their secrets.

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

SCHEMES = ("minio", "s3", "gs")
CONFIG_MAP = "kfp-launcher"
_ROOT, _PROVIDERS = "defaultPipelineRoot", "providers"


def check_launcher(data: Mapping[str, str] | None, pipeline_root: str, namespace: str) -> None:
    """Check that a namespace's `kfp-launcher` knows the store of a pipeline root.

    Args:
        data: data of the config map; None if there is none. Kubeflow's own store, `minio`, is always known.
        pipeline_root: address such as 's3://bucket/artifacts'; '' for the one in the config map.
        namespace: namespace of the run.

    Raises:
        ClusterError: the configuration cannot be read, or lacks the provider.
    """
    data = data or {}
    root = pipeline_root or data.get("defaultPipelineRoot", "")
    scheme = root.partition("://")[0]
    config_map = f"The config map '{CONFIG_MAP}' of the namespace '{namespace}'"
    try:
        providers = yaml.safe_load(data.get("providers", "")) or {}
    except (yaml.YAMLError, ValueError, RecursionError):
        providers = None
    if not isinstance(providers, dict):
        raise ClusterError(
            f"{config_map} has 'providers' that are not YAML: write them as in manifests/base/launcher.yaml."
        )
    if scheme in SCHEMES and scheme not in providers and scheme != "minio":
        raise ClusterError(
            f"{config_map} lacks the provider '{scheme}', so nothing can be written to {root}: add it with "
            "'histoforge launcher apply manifests/base/launcher.yaml'."
        )


def read_launcher(path: Path) -> dict[str, str]:
    """Return the data of the config map in a YAML file.

    Raises:
        SettingsError: the file cannot be read, or is not a config map of this kind.
    """
    content = read_yaml(path, SettingsError, "write it like manifests/base/launcher.yaml")
    try:
        data = content["data"]
        providers = _parsed(data.get(_PROVIDERS, ""))
        complete = all(override["bucketName"] for provider in providers.values() for override in _overrides(provider))
    except (DocumentError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise SettingsError(f"{path} defines no stores for '{CONFIG_MAP}': write it like manifests/base/launcher.yaml.")
    return {str(name): str(value) for name, value in data.items()}


def merge_launcher(current: Mapping[str, str] | None, added: Mapping[str, str]) -> dict[str, str]:
    """Return the data of a config map with our stores added and all other entries kept.

    Args:
        current: data of the config map in the namespace; None if there is none.
        added: data to add. A default root or a provider's default is added only if there is none.

    Raises:
        ClusterError: the providers in the namespace are not YAML, or have another entry for the same bucket and prefix.
    """
    merged = dict(current or {})
    if added.get(_ROOT) and not merged.get(_ROOT):
        merged[_ROOT] = added[_ROOT]
    try:
        providers, before = _parsed(merged.get(_PROVIDERS, "")), _parsed(merged.get(_PROVIDERS, ""))
        for scheme, provider in _parsed(added.get(_PROVIDERS, "")).items():
            providers[scheme] = _merge_provider(providers.get(scheme) or {}, provider, scheme)
    except (DocumentError, TypeError, AttributeError):
        raise ClusterError(
            f"The 'providers' of the config map '{CONFIG_MAP}' cannot be read: correct them, and try again."
        ) from None
    if providers != before:
        merged[_PROVIDERS] = yaml.safe_dump(providers, sort_keys=False)
    return merged


def describe_change(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the difference between two config maps' data as a unified diff; '' if there is none."""
    lines = difflib.unified_diff(_lines(before), _lines(after), "in the namespace", "merged", lineterm="", n=3)
    return "\n".join(lines)


def _merge_provider(provider: Mapping[str, Any], added: Mapping[str, Any], scheme: str) -> dict[str, Any]:
    merged = dict(provider)
    if "default" in added:
        merged.setdefault("default", added["default"])
    name = "Overrides" if "Overrides" in merged else "overrides"
    overrides = list(_overrides(merged))
    for override in _overrides(added):
        same = [other for other in overrides if _key(other) == _key(override)]
        if same and same[0] != override:
            bucket, prefix = _key(override)
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
    bucket, prefix = _key(override)
    for number, other in enumerate(overrides):
        other_bucket, other_prefix = _key(other)
        if other_bucket == bucket and prefix.startswith(other_prefix):
            return number
    return len(overrides)


def _key(override: Mapping[str, Any]) -> tuple[str, str]:
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
