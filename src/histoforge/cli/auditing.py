"""Implement `histoforge duplicates`: open the sets and the guide, audit, and write the page and its numbers."""

from dataclasses import dataclass
from pathlib import Path

from histoforge.cli.outputs import claim_page
from histoforge.cli.searching import numbers_file
from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.patches import PatchSet
from histoforge.reports.duplicates_page import build_duplicates_page
from histoforge.reports.layout.page import write_page
from histoforge.siamese.duplicates import audit_synthetic_set
from histoforge.siamese.guide import load_guide
from histoforge.training.device import resolve_device, resolve_precision

SHOWN_PAIRS = 18


@dataclass(frozen=True)
class AuditArguments:
    """The arguments of `histoforge duplicates`.

    Attributes:
        synthetic: the patch set that a generator made.
        real: the patch set that it was trained on.
        model: the guide.
        out: the page.
        quantile: quantile of the held-out patches' similarity above which a patch is flagged.
        flips: True to compare flipped patches too.
        cache: a folder for embeddings, or None.
        device: device to compute on.
        overwrite: True if an earlier page may be replaced.
    """

    synthetic: Path
    real: Path
    model: Path
    out: Path
    quantile: float
    flips: bool
    cache: Path | None
    device: str
    overwrite: bool = False


def show_duplicates(arguments: AuditArguments) -> None:
    """Write the page of the audit of a synthetic set, and its numbers as JSON beside it.

    Raises:
        SettingsError: the quantile is invalid, or `out` is not a page.
        PatchSetError, ModelError: a set or the guide is missing, damaged or does not fit the others.
        StorageError: the page cannot be written.
    """
    numbers = numbers_file(arguments.out)
    inputs = {"--in": arguments.synthetic, "--of": arguments.real, "--model": arguments.model}
    settings = {"quantile": arguments.quantile, "flips": arguments.flips}
    with claim_page("duplicates", arguments.out, settings, inputs, arguments.overwrite) as command:
        synthetic, real = PatchSet.open(arguments.synthetic), PatchSet.open(arguments.real)
        device = resolve_device(arguments.device)
        guide = load_guide(arguments.model, device, resolve_precision("auto", device))
        findings = audit_synthetic_set(
            synthetic,
            real,
            guide,
            names=(str(arguments.synthetic), str(arguments.real)),
            quantile=arguments.quantile,
            flips=arguments.flips,
            n_closest=SHOWN_PAIRS,
            cache=arguments.cache,
        )
        page = build_duplicates_page(
            findings,
            synthetic,
            real,
            subtitle=f"{arguments.synthetic} against {arguments.real}",
            data_file=numbers.name,
        )
        digests = {"guide": guide.info.digest, "synthetic": synthetic.digest, "real": real.digest}
        audit = findings.audit.model_dump(mode="json", exclude={"near_copies"})
        near_copies = findings.near_copies.model_dump(mode="json")
        write_json(numbers, {**digests, "command": command, **audit, **near_copies})
        write_page(arguments.out, page)
        say(f"written to {arguments.out} and {numbers}")
        print(findings.audit.verdict)
