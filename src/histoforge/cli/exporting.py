"""Implement `histoforge export` and `histoforge generate`."""

from pathlib import Path

import yaml

from histoforge.core.errors import HistoforgeError, SettingsError
from histoforge.core.files import atomic_directory, write_json
from histoforge.core.progress import say
from histoforge.core.settings import nearest
from histoforge.evaluation.datasheet import Audit, Datasheet, make_datasheet, read_audit
from histoforge.generators.loading import load_generator
from histoforge.generators.pictures import write_pictures
from histoforge.ingest.source import worker_count
from histoforge.patches import PatchSet
from histoforge.patches.export import write_images

RESULTS_NAME = "metrics.json"


def export_patches(path: Path, out: Path, title: str, audit: Path | None) -> None:
    """Write a patch set as PNG files with tables, `README.md`, `datasheet.json` and, if synthetic, `origin.yaml`.

    Raises:
        PatchSetError: the patch set is missing or damaged.
        SourceError: `audit` has no audit of this patch set.
    """
    patches = PatchSet.open(path)
    known_audit = read_audit(audit, patches) if audit else _audit_beside(path, patches)
    sheet = make_datasheet(patches, title, known_audit)
    with atomic_directory(out) as folder:
        write_images(patches, folder, worker_count(0))
        write_json(folder / "datasheet.json", sheet.model_dump(mode="json"))
        (folder / "README.md").write_text(sheet.as_markdown(), encoding="utf-8")
        if sheet.synthetic:
            text = yaml.safe_dump(_origin(sheet), sort_keys=False, allow_unicode=True)
            (folder / "origin.yaml").write_text(text, encoding="utf-8")
    if sheet.synthetic and sheet.audit is None:
        say("export: warning: there is no audit of this set; '--audit' names one for the datasheet.")


def _audit_beside(path: Path, patches: PatchSet) -> Audit | None:
    """Return the audit in the results of the run that contains the patch set; None if there is none of this set."""
    results = path.parent / RESULTS_NAME
    if not patches.info.synthetic or not results.is_file():
        return None
    try:
        return read_audit(results, patches)
    except HistoforgeError:
        return None


def _origin(sheet: Datasheet) -> dict[str, str | float]:
    """Return the entries of `origin.yaml`, from which the set can be imported again."""
    drawn = [f"{generator.method} {generator.digest[:12]}" for generator in sheet.generators if generator.is_recorded]
    origin = sheet.origin or (f"histoforge: {', '.join(drawn)}" if drawn else "")
    entries = {"name": sheet.imported_as, "origin": origin, "licence": sheet.licence, "mpp": sheet.mpp}
    return {name: value for name, value in entries.items() if value}


def generate_pictures(
    model: Path, class_name: str, count: int, seed: int, out: Path, batch_size: int, device: str
) -> None:
    """Write pictures of a class; the arguments are the options of `histoforge generate`.

    Raises:
        ModelError: the model is missing, damaged or not a generator.
        SettingsError: the generator has no such class.
    """
    generator = load_generator(model, device)
    classes = generator.info.classes
    if class_name not in classes:
        raise SettingsError(
            f"generate: the generator {model} has no class '{class_name}'{nearest(class_name, classes)}: choose one of "
            f"{', '.join(classes)}."
        )
    write_pictures(generator, classes.index(class_name), count, seed, out, batch_size)
