"""The datasheet of an exported patch set: what it is, where it comes from, how it was selected, and its audit."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from histoforge import __version__
from histoforge.core.documents import read_json
from histoforge.core.errors import SourceError
from histoforge.core.settings import Settings
from histoforge.core.text import counted, dimensions, join_words
from histoforge.patches.patchset import PatchSet

SCHEMA_VERSION = 1
UNKNOWN = "not recorded"
_SELECTION = ("rule", "ratio", "pool_multiple", "entropy", "threshold", "passes", "layers", "seed")


class GeneratorOrigin(Settings):
    """A generator that drew patches of the set: its method, the digest of its model, and the number of patches."""

    method: str
    digest: str
    patches: int

    @property
    def is_recorded(self) -> bool:
        """True if the generator is known, and not only the name of an imported set."""
        return self.digest != UNKNOWN


class Audit(Settings):
    """The search for copies of training patches: its file, its two findings, and whether copies were found."""

    file: str
    verdict: str
    nearer_verdict: str = ""
    copied: bool


class Datasheet(Settings):
    """Content of `datasheet.json`.

    Attributes:
        title: name of the set.
        digest: identity of the patch set.
        synthetic: whether a generator drew the patches.
        patches: number of patches by class.
        patients: number of patients of real patches; 0 for synthetic ones.
        patch_size: height and width, px.
        mpp: micrometres per pixel, or None.
        step: step that made the set.
        origin: who made the images and with what, as an import recorded it; '' if it was not recorded.
        licence: licence of the images, as an import recorded it; '' if it was not recorded.
        generators: the generators that drew the patches.
        selection: settings of the selection; empty if the set was not selected.
        scoring: digests of what scored the candidates: extractor, patches.
        audit: the audit of memorisation, or None if there is none of this set.
        code_version: version of histoforge that made the set.
        exported_by: version of histoforge that exported it.
    """

    title: str
    digest: str
    synthetic: bool
    patches: dict[str, int]
    patients: int
    patch_size: tuple[int, int]
    mpp: float | None
    step: str
    origin: str
    licence: str
    generators: list[GeneratorOrigin]
    selection: dict[str, Any]
    scoring: dict[str, Any]
    audit: Audit | None
    code_version: str
    exported_by: str = __version__
    schema_version: int = SCHEMA_VERSION

    @property
    def imported_as(self) -> str:
        """The name under which the set was imported; '' for another set."""
        return self.generators[0].method if self.step == "import_patches" and self.generators else ""

    def as_markdown(self) -> str:
        """Return the sheet as a README."""
        counts = join_words([f"{count:,} {name}" for name, count in self.patches.items()])
        kind = "Synthetic" if self.synthetic else "Real"
        mpp = "an unknown resolution" if self.mpp is None else f"{self.mpp:g} um/px"
        total = counted(sum(self.patches.values()), "patches")
        rows = {
            "patches": f"{total} ({counts}) of {dimensions(self.patch_size)} px at {mpp}",
            "origin": self.origin or self._drawn_by(),
            "licence": self.licence or UNKNOWN,
            "selection": ", ".join(f"{k} {v}" for k, v in self.selection.items()) or "none",
            "scored by": ", ".join(f"{k} {v}" for k, v in self.scoring.items()) or "nothing",
            "patch set": self.digest,
            "made by": f"{self.step}, histoforge {self.code_version}",
        }
        table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
        return (
            f"# {self.title}\n\n{kind} histopathology patches.\n\n| | |\n| --- | --- |\n{table}\n\n"
            f"## Copies of training patches\n\n{self._audit_text()}\n\n## Files\n\n"
            "`<class>/<number>.png`; `labels.csv`: the class of each file; `patches.csv`: all that is known about "
            f"each; `datasheet.json`: this page for programs.\n\n{self._caution()}\n"
        )

    def _drawn_by(self) -> str:
        drawn = [f"{counted(g.patches, 'patches')} by {g.method} (generator {g.digest})" for g in self.generators]
        return join_words(drawn) or (UNKNOWN if self.synthetic else counted(self.patients, "patients"))

    def _audit_text(self) -> str:
        if not self.synthetic:
            return "These are real patches."
        if self.audit is None:
            return "There is no audit of this set: nobody has searched it for copies of training patches."
        return " ".join(filter(None, (self.audit.verdict, self.audit.nearer_verdict)))

    def _caution(self) -> str:
        if self.synthetic:
            return (
                "No patient has the tissue that these patches show. They can still resemble the tissue of patients "
                "that the generator was trained on. They are for research, and not for diagnosis."
            )
        return "These patches show tissue of patients: their consent and the rules of your institution apply."


def make_datasheet(patches: PatchSet, title: str, audit: Audit | None) -> Datasheet:
    """Return the datasheet of a patch set."""
    info, made_by = patches.info, patches.info.made_by
    recorded = made_by.get("origin") or {}
    config = made_by.get("config") or {}
    scoring = made_by.get("scoring") or {}
    selected = made_by.get("step") == "select_samples"
    return Datasheet(
        title=title,
        digest=info.digest,
        synthetic=info.synthetic,
        patches=dict(zip(patches.classes, patches.counts.tolist(), strict=True)),
        patients=0 if info.synthetic else int(patches.index["patient"].nunique()),
        patch_size=info.patch_size,
        mpp=info.mpp,
        step=str(made_by.get("step", "")),
        origin=str(recorded.get("origin", "")),
        licence=str(recorded.get("licence", "")),
        generators=_generators(patches.index) if info.synthetic else [],
        selection={name: config[name] for name in _SELECTION if name in config} if selected else {},
        scoring={name: scoring[name] for name in ("extractor", "patches") if name in scoring},
        audit=audit,
        code_version=str(made_by.get("code_version", "")) or UNKNOWN,
    )


def _generators(index: pd.DataFrame) -> list[GeneratorOrigin]:
    methods, digests = (
        index[name].astype(str) if name in index else pd.Series("", index.index) for name in ("method", "generator")
    )
    return [
        GeneratorOrigin(method=method or UNKNOWN, digest=digest or UNKNOWN, patches=count)
        for (method, digest), count in Counter(zip(methods, digests, strict=True)).items()
    ]


def read_audit(path: Path, patches: PatchSet) -> Audit:
    """Return the audit in the metrics.json of `evaluate`, or in the numbers of `histoforge duplicates`.

    Raises:
        SourceError: the file has no audit, or one of another patch set.
    """
    advice = "name the metrics.json of evaluate, or the numbers that 'histoforge duplicates' wrote"
    document = read_json(path, SourceError, advice)
    content = document if isinstance(document, dict) else {}
    audit = content.get("memorisation") if "memorisation" in content else content
    if not isinstance(audit, Mapping) or not isinstance(audit.get("verdict"), str):
        raise SourceError(f"{path} contains no audit of synthetic patches: {advice}.")
    inputs = content.get("inputs")
    audited = inputs if isinstance(inputs, Mapping) else {"selected": content.get("synthetic")}
    exported = {patches.digest, patches.info.made_by.get("pool")} - {None, ""}
    if not exported & {audited.get("selected"), audited.get("candidates")}:
        raise SourceError(f"The audit in {path} is of another patch set: name the one of this set, or leave it out.")
    return Audit(
        file=path.name,
        verdict=audit["verdict"],
        nearer_verdict=str(audit.get("nearer_verdict") or ""),
        copied=bool(audit.get("copied", True)),
    )
