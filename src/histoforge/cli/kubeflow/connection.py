"""The connection to Kubeflow's API server, with its errors as single sentences.

Address and credentials come only from the environment and kfp's context file: `KF_PIPELINES_ENDPOINT` or
`KFP_ENDPOINT`, `KFP_NAMESPACE`, `KFP_EXISTING_TOKEN`, `KF_PIPELINES_SA_TOKEN_PATH` (a projected token in a pod),
`KFP_COOKIES`, `SSL_CERT_FILE`; without an endpoint, the service in the cluster or the one of the kubeconfig.
"""

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

from histoforge.cluster.errors import ClusterError
from histoforge.core.secrets import INVALID_CREDENTIAL, clean_credential

_REFUSED = (401, 403)
_NOWHERE = "http://localhost"
"""The host of a kfp client that was given no host and no kubeconfig."""


def connect() -> tuple[str, Any]:
    """Return the address of the API server and kfp's client for it.

    Raises:
        ClusterError: if no server is named, or it does not respond or denies access.
    """
    endpoint = os.environ.get("KF_PIPELINES_ENDPOINT") or os.environ.get("KFP_ENDPOINT")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        from kfp import client

        class Client(client.Client):
            """kfp's client, which queries the server's health once; kfp does so five times, whatever the response."""

            def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
                if not endpoint and self._existing_config.host == _NOWHERE:
                    raise ClusterError(
                        "The address of Kubeflow Pipelines is unknown: set KF_PIPELINES_ENDPOINT, for example to "
                        "'http://localhost:8080' after 'kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80'."
                    )
                response = self._healthz_api.healthz_service_get_healthz(_preload_content=False)
                health = json.loads(response.data)
                return self.api_models.V2beta1GetHealthzResponse(multi_user=health.get("multi_user"))

        in_pod = os.environ.get(client.KF_PIPELINES_SA_TOKEN_ENV)
        with explained(endpoint or "the cluster of the kubeconfig"):
            kfp_client = Client(
                host=endpoint,
                existing_token=_credential("KFP_EXISTING_TOKEN"),
                cookies=_credential("KFP_COOKIES"),
                ssl_ca_cert=os.environ.get("SSL_CERT_FILE"),
                credentials=client.ServiceAccountTokenVolumeCredentials() if in_pod else None,
            )
            kfp_client.get_kfp_healthz()
    return str(kfp_client._existing_config.host), kfp_client


@contextlib.contextmanager
def explained(host: str) -> Iterator[None]:
    """Turn an error of the server or the network into one sentence."""
    from kfp_server_api.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        message = _message(error)
        if error.status in _REFUSED:
            raise ClusterError(
                f"Kubeflow at {host} denies access ({message}): give a token in KFP_EXISTING_TOKEN, or ask for access "
                "to the namespace in KFP_NAMESPACE."
            ) from None
        raise ClusterError(
            f"Kubeflow at {host} returned {error.status} ({message}): correct the value that it names."
        ) from None
    except (HTTPError, OSError) as error:
        reason = str(getattr(error, "reason", error)).rpartition(": ")[2]
        raise ClusterError(f"Kubeflow at {host} does not respond ({reason}): check KF_PIPELINES_ENDPOINT.") from None
    except json.JSONDecodeError:
        raise ClusterError(
            f"{host} does not respond like Kubeflow Pipelines; this may be a login page: check "
            "KF_PIPELINES_ENDPOINT, and give a token in KFP_EXISTING_TOKEN."
        ) from None
    except ValueError as error:
        if "header" not in str(error):
            raise
        raise ClusterError(INVALID_CREDENTIAL.format(name="The token or cookie for Kubeflow")) from None


def _credential(name: str) -> str | None:
    """Return a token or cookie from the environment; None if it is not set.

    Raises:
        ClusterError: if it is not valid in an HTTP header.
    """
    value = clean_credential(os.environ.get(name, ""))
    if value is None:
        raise ClusterError(INVALID_CREDENTIAL.format(name=name))
    return value or None


def _message(error: Any) -> str:
    try:
        text = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        text = str(error.reason)
    return " ".join(text.split())[:300].rstrip(".")
