"""S3 server and credentials, read only from the environment, so that no command or run contains a credential."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from histoforge.core.errors import StorageError
from histoforge.core.secrets import INVALID_CREDENTIAL, MIN_KEY_ID_LENGTH, MIN_SECRET_LENGTH, clean_credential

_ENDPOINTS = ("HISTOFORGE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MINIO_ENDPOINT")
_PAIRS = (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"))
_SECRET_DIR = "HISTOFORGE_S3_SECRET_DIR"
_REGION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class S3Settings:
    """Address, credentials and timeouts of an S3 server.

    Attributes:
        endpoint: `http://host:port` or `https://host`, from the first of HISTOFORGE_S3_ENDPOINT, AWS_ENDPOINT_URL_S3,
            AWS_ENDPOINT_URL and MINIO_ENDPOINT that is set.
        access_key, secret_key: from the files `accesskey` and `secretkey` in HISTOFORGE_S3_SECRET_DIR (a mounted
            secret such as Kubeflow's mlpipeline-minio-artifact), else from AWS_ACCESS_KEY_ID and
            AWS_SECRET_ACCESS_KEY, else from MINIO_ACCESS_KEY and MINIO_SECRET_KEY; both empty for public buckets.
        session_token: AWS_SESSION_TOKEN, with a key from the environment.
        key_source: source of the key, for messages; '' if there is no key.
        region: AWS_REGION or AWS_DEFAULT_REGION.
        ca: a file of trusted certificates, from HISTOFORGE_S3_CA or SSL_CERT_FILE; '' for the default ones.
        connect_timeout: seconds to wait for a connection, from HISTOFORGE_S3_CONNECT_TIMEOUT.
        read_timeout: seconds to wait for a response, from HISTOFORGE_S3_READ_TIMEOUT.
        attempts: number of attempts per request, from HISTOFORGE_S3_ATTEMPTS.
        backoff: seconds before the first retry, doubled for each further one, from HISTOFORGE_S3_BACKOFF.
    """

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)
    key_source: str
    region: str
    ca: str
    connect_timeout: float
    read_timeout: float
    attempts: int
    backoff: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "S3Settings":
        """Read the settings.

        Raises:
            StorageError: the endpoint or half of the key is missing, or a value is invalid; no value is shown.
        """
        access_key, secret_key, key_source = _key(environment)
        return cls(
            endpoint=_endpoint(environment),
            access_key=access_key,
            secret_key=secret_key,
            session_token="" if key_source == _SECRET_DIR else _credential(environment, "AWS_SESSION_TOKEN"),
            key_source=key_source,
            region=_region(environment),
            ca=_ca(environment),
            connect_timeout=_number(environment, "HISTOFORGE_S3_CONNECT_TIMEOUT", 15.0),
            read_timeout=_number(environment, "HISTOFORGE_S3_READ_TIMEOUT", 30.0),
            attempts=max(1, round(_number(environment, "HISTOFORGE_S3_ATTEMPTS", 4))),
            backoff=_number(environment, "HISTOFORGE_S3_BACKOFF", 0.5),
        )


def _endpoint(environment: Mapping[str, str]) -> str:
    name = next((name for name in _ENDPOINTS if environment.get(name)), "")
    if not name:
        raise StorageError(
            f"No S3 server is configured: set {_ENDPOINTS[0]}, for example to http://seaweedfs.kubeflow:9000 or to "
            "https://s3.eu-central-1.amazonaws.com."
        )
    address = urlsplit(environment[name].strip())
    try:
        usable = address.scheme in ("http", "https") and address.hostname and (address.port or True)
    except ValueError:
        usable = False
    if not usable or "@" in address.netloc or address.path.strip("/") or address.query or address.fragment:
        raise StorageError(f"{name} is not a server's address: write http://host:port or https://host:port.")
    return f"{address.scheme}://{address.netloc}"


def _key(environment: Mapping[str, str]) -> tuple[str, str, str]:
    folder = environment.get(_SECRET_DIR)
    if folder:
        try:
            files = {name: (Path(folder) / name).read_bytes() for name in ("accesskey", "secretkey")}
        except (OSError, ValueError):
            files = {}
        texts = [
            _sendable(text.decode("latin-1"), f"The file '{name}' in {_SECRET_DIR}") for name, text in files.items()
        ]
        if not texts or not all(texts):
            raise StorageError(
                f"{_SECRET_DIR} names a folder without the readable files 'accesskey' and 'secretkey': mount the "
                "secret there."
            )
        return texts[0], texts[1], _SECRET_DIR
    for access_name, secret_name in _PAIRS:
        access, secret = _credential(environment, access_name), _credential(environment, secret_name)
        if bool(access) != bool(secret):
            raise StorageError(f"Only one of {access_name} and {secret_name} is set: set both, or neither.")
        if access:
            return access, secret, f"{access_name} and {secret_name}"
    return "", "", ""


def _credential(environment: Mapping[str, str], name: str) -> str:
    return _sendable(environment.get(name, ""), name)


def _sendable(text: str, name: str) -> str:
    value = clean_credential(
        text, MIN_SECRET_LENGTH if "secret" in name.lower() or "TOKEN" in name else MIN_KEY_ID_LENGTH
    )
    if value is None:
        raise StorageError(INVALID_CREDENTIAL.format(name=name))
    return value


def _region(environment: Mapping[str, str]) -> str:
    region = (environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "").strip()
    if region and not _REGION.fullmatch(region):
        raise StorageError("AWS_REGION is not the name of a region: write one such as eu-central-1, or leave it unset.")
    return region


def _ca(environment: Mapping[str, str]) -> str:
    for name in ("HISTOFORGE_S3_CA", "SSL_CERT_FILE"):
        path = environment.get(name)
        if path:
            if not Path(path).is_file():
                raise StorageError(f"{name} does not name a file: set it to a PEM file of certificates.")
            return path
    return ""


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.01 <= number <= 86400:
        raise StorageError(f"{name} is not a number above zero: correct it, or leave it unset for {default:g}.")
    return number
