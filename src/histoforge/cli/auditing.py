"""Implement `histoforge duplicates`: open the sets and the guide, audit, and write the page and its numbers."""

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


def show_duplicates(
    synthetic_path: Path,
    real_path: Path,
    model: Path,
    out: Path,
    *,
    quantile: float,
    flips: bool,
    cache: Path | None,
    device: str,
    overwrite: bool,
) -> None:
    """Write the page of the audit of a synthetic set, and its numbers as JSON beside it.

    The arguments are the options of `histoforge duplicates`.

    Raises:
        SettingsError: the quantile is invalid, or `out` is not a page.
        PatchSetError, ModelError: a set or the guide is missing, damaged or does not fit the others.
        StorageError: the page cannot be written.
    """
    numbers = numbers_file(out)
    inputs = {"--in": synthetic_path, "--of": real_path, "--model": model}
    settings = {"quantile": quantile, "flips": flips}
    with claim_page("duplicates", out, settings, inputs, overwrite) as command:
        synthetic, real = PatchSet.open(synthetic_path), PatchSet.open(real_path)
        on_device = resolve_device(device)
        guide = load_guide(model, on_device, resolve_precision("auto", on_device))
        findings = audit_synthetic_set(
            synthetic,
            real,
            guide,
            names=(str(synthetic_path), str(real_path)),
            quantile=quantile,
            flips=flips,
            n_closest=SHOWN_PAIRS,
            cache=cache,
        )
        page = build_duplicates_page(
            findings,
            synthetic,
            real,
            subtitle=f"{synthetic_path} against {real_path}",
            data_file=numbers.name,
        )
        digests = {"guide": guide.info.digest, "synthetic": synthetic.digest, "real": real.digest}
        audit = findings.audit.model_dump(mode="json", exclude={"near_copies"})
        near_copies = findings.near_copies.model_dump(mode="json")
        write_json(numbers, {**digests, "command": command, **audit, **near_copies})
        write_page(out, page)
        say(f"written to {out} and {numbers}")
        print(findings.audit.verdict)
