"""Explanations of an S3 server's failures, each in one sentence that contains no credential."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)

from histoforge.core.errors import StorageError
from histoforge.storage.s3_settings import S3Settings

FAILURES = (MinioException, HTTPError, ParseError)
_SKEW_SECONDS = 300

_SENTENCES = {
    "NoSuchBucket": "There is no bucket for {name} at {server}: create it, or correct the location",
    "NoSuchKey": "There is no {name} at {server}: correct the name, or upload it",
    "KeyRefused": "{server} does not accept the access key or its secret: correct {key}",
    "AccessDenied": "{server} denies access to {name}: check {key}, and the permissions of this account",
    "Expired": "The session token for {server} has expired: renew AWS_SESSION_TOKEN and the key that belongs to it",
    "Clock": "The clock of this machine differs too much from that of {server}: set the clock and run it again",
    "Region": "The bucket of {name} is in another region: set AWS_REGION to it, and the endpoint if it names a region",
    "Changed": "{name} was replaced while it was read: run it again",
    "Full": "{server} has no space left for {name}: free some space or raise the quota, and run it again",
    "Lost": "{server} aborted the upload of {name} ({attempts} times): check the space on its disk and run it again",
    "Failing": "{server} keeps failing at {name} (HTTP {status}, tried {attempts} times): run it again later",
    "Refused": "{server} does not serve {name} (HTTP {status}): check the endpoint and the location",
}
_CODES = {
    "NoSuchBucket": "NoSuchBucket",
    "NoSuchKey": "NoSuchKey",
    "InvalidAccessKeyId": "KeyRefused",
    "SignatureDoesNotMatch": "KeyRefused",
    "AccessDenied": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "ExpiredToken": "Expired",
    "InvalidToken": "Expired",
    "RequestTimeTooSkewed": "Clock",
    "AuthorizationHeaderMalformed": "Region",
    "PermanentRedirect": "Region",
    "Redirect": "Region",
    "TemporaryRedirect": "Region",
    "PreconditionFailed": "Changed",
    "NoSuchUpload": "Lost",
    "QuotaExceeded": "Full",
    "XMinioStorageFull": "Full",
    "XMinioAdminBucketQuotaExceeded": "Full",
}
_STATUSES = {401: "AccessDenied", 403: "AccessDenied", 412: "Changed", 507: "Full"}


def explain(error: Exception, settings: S3Settings, name: str) -> StorageError:
    """Return the error that explains the failure (one of `FAILURES`) of a request for the location `name`."""
    if isinstance(error, MinioException):
        return StorageError(_refusal(error, settings, name))
    if isinstance(error, ParseError):
        return StorageError(
            f"{settings.endpoint} does not answer like an S3 server: set the endpoint to the server's S3 port."
        )
    reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    if isinstance(reason, SSLError):
        return StorageError(
            f"{settings.endpoint} has no certificate that is trusted here: set HISTOFORGE_S3_CA to its authority's "
            "PEM file, or write http:// if it has none."
        )
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return StorageError(
            f"{settings.endpoint} cannot be reached ({_why(reason)}): check the endpoint and the network."
        )
    return StorageError(
        f"{settings.endpoint} stopped answering at {name} (tried {settings.attempts} times): check the server and run "
        "it again."
    )


def is_missing(error: Exception) -> bool:
    """Return whether a request failed because the object does not exist (in a bucket that does)."""
    return isinstance(error, MinioException) and _details(error)[0] == "NoSuchKey"


def lost_its_parts(error: Exception) -> bool:
    """Return whether the server has forgotten a multipart upload, as after a restart."""
    return isinstance(error, MinioException) and _details(error)[0] == "NoSuchUpload"


def _refusal(error: MinioException, settings: S3Settings, name: str) -> str:
    code, status, text = _details(error)
    kind = _CODES.get(code) or _STATUSES.get(status) or ("Failing" if status >= 500 or status == 429 else "Refused")
    if not settings.key_source and status in (400, 401, 403):
        kind = "AccessDenied"
    if "difference between the request time" in text or _clock_is_off(error):
        kind = "Clock"
    key = f"the key in {settings.key_source}" if settings.key_source else "the location (no access key is set)"
    sentence = _SENTENCES[kind].format(
        name=name, server=settings.endpoint, key=key, status=f"{status} {code}".strip(), attempts=settings.attempts
    )
    return f"{sentence.strip()}."


def _details(error: MinioException) -> tuple[str, int, str]:
    """Return the S3 error code, the HTTP status and the message of an error response.

    Some servers send their errors as text/xml, which the client turns into an InvalidResponseError with the body in its
    text.
    """
    if isinstance(error, S3Error):
        return error.code or "", int(error.response.status), error.message or ""
    if isinstance(error, ServerError):
        return "", int(error.status_code), ""
    text = str(error) if isinstance(error, InvalidResponseError) else ""
    status = re.search(r"Response code: (\d+)", text)
    code = re.search(r"<Code>(\w+)</Code>", text)
    return code.group(1) if code else "", int(status.group(1)) if status else 0, text


def _clock_is_off(error: MinioException) -> bool:
    """Return whether the server's time differs from the local time, for a rejected request without a body."""
    if not isinstance(error, S3Error) or int(error.response.status) not in (400, 403):
        return False
    date = error.response.headers.get("Date")
    try:
        return abs((parsedate_to_datetime(date or "") - datetime.now(UTC)).total_seconds()) > _SKEW_SECONDS
    except (TypeError, ValueError):
        return False


def _why(reason: Exception) -> str:
    if isinstance(reason, NameResolutionError):
        return "its name cannot be resolved"
    return getattr(reason.__cause__, "strerror", None) or "no answer"
