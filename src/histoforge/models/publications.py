"""Records of champion changes: one small file per change, named so that no file can replace another."""

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from histoforge import __version__
from histoforge.core.digests import digest_json
from histoforge.core.documents import parse_model
from histoforge.core.errors import ModelError
from histoforge.core.settings import Settings

FOLDER = "champions"
_NAME = re.compile(rf"{FOLDER}/(\d{{6,}})-[0-9a-f]{{12}}\.json")

Action = Literal["publish", "rollback", "yield"]


@dataclass(frozen=True)
class Verdict:
    """Decision whether a version may replace the champion.

    Attributes:
        accepted: True if it may.
        reason: the reason, as a clause that completes 'because …'.
        evidence: the test behind it, as JSON values.
    """

    accepted: bool
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


class Publication(Settings):
    """One change of the champion.

    Attributes:
        serial: the replaced champion's serial plus one; 1 for the first.
        version: the champion from then on.
        model: digest of that version's model files.
        action: 'publish', 'rollback' (by a person), or 'yield' (to a better version published concurrently).
        replaces: the previous version; '' for the first.
        replaced_model: digest of its model files.
        reason: the reason, as a clause that completes 'because …'.
        withdrawn: models that a person rolled back from, by digest, with date and reason; they are not published again.
        evidence: the paired test, if there was one.
        time: UTC, ISO 8601; for information only, since the order is by serial.
        code_version: version of histoforge.
        digest: SHA-256 over all of the above.
    """

    serial: int = Field(ge=1)
    version: str
    model: str
    action: Action
    replaces: str = ""
    replaced_model: str = ""
    reason: str
    withdrawn: dict[str, str] = Field(default_factory=dict)
    evidence: dict[str, Any] = Field(default_factory=dict)
    time: str
    code_version: str = __version__
    digest: str = ""

    @classmethod
    def after(
        cls, champion: "Publication | None", version: str, model: str, action: Action, verdict: Verdict
    ) -> "Publication":
        """Return the publication that replaces `champion` (None if there is none) by a version."""
        moment = now()
        withdrawn = dict(champion.withdrawn) if champion else {}
        if champion and action == "rollback":
            withdrawn[champion.model] = f"on {moment[:10]} ('{verdict.reason}')"
        withdrawn.pop(model, None)
        return cls(
            serial=champion.serial + 1 if champion else 1,
            version=version,
            model=model,
            action=action,
            replaces=champion.version if champion else "",
            replaced_model=champion.model if champion else "",
            reason=verdict.reason,
            withdrawn=withdrawn,
            evidence=verdict.evidence,
            time=moment,
        ).sealed()

    @property
    def name(self) -> str:
        """The file's name below the model's location: it sorts by serial and differs for different content."""
        return f"{FOLDER}/{self.serial:06d}-{self.digest[:12]}.json"

    def content(self) -> bytes:
        """Return the content of the file."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, allow_nan=False) + "\n").encode()

    def sealed(self) -> "Publication":
        """Return a copy that includes its digest."""
        return self.model_copy(update={"digest": digest_json(self.model_dump(mode="json", exclude={"digest"}))})


def parse_publication(content: bytes) -> Publication | None:
    """Return the publication in a file's content; None if the content is damaged."""
    try:
        publication = parse_model(Publication, content, FOLDER, ModelError)
    except ModelError:
        return None
    return publication if publication.digest == publication.sealed().digest else None


def serial_of(name: str) -> int | None:
    """Return the serial in a file's name; None for a file that is not a publication."""
    match = _NAME.fullmatch(name)
    return int(match.group(1)) if match else None


def now() -> str:
    """Return the current time, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
