"""The launcher's configuration in a namespace: the object stores that Kubeflow's pods can reach, and their secrets."""

from collections.abc import Mapping

import yaml

from histoforge.cluster.errors import ClusterError

SCHEMES = ("minio", "s3", "gs")


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
    where = f"The config map 'kfp-launcher' of the namespace '{namespace}'"
    try:
        providers = yaml.safe_load(data.get("providers", "")) or {}
    except (yaml.YAMLError, ValueError, RecursionError):
        providers = None
    if not isinstance(providers, dict):
        raise ClusterError(
            f"{where} has 'providers' that are not YAML: write them as manifests/base/launcher.yaml does."
        )
    if scheme in SCHEMES and scheme not in providers and scheme != "minio":
        raise ClusterError(
            f"{where} lacks the provider '{scheme}', so that nothing can be written to {root}: add it by "
            "'histoforge launcher apply manifests/base/launcher.yaml'."
        )
