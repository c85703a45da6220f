"""Results for other programs: predictions for QuPath, and patches as PNG files."""

from pathlib import Path

from histoforge.api.arms import Arm
from histoforge.api.patches import Patches, as_path
from histoforge.api.running import PRESET, Settings, run_step
from histoforge.cli import exporting
from histoforge.cli.outputs import resolved_parent
from histoforge.core.claims import Output, claimed


def predict_slides(
    model: Arm | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    settings: Settings | None = None,
    preset: str = PRESET,
    overwrite: bool = False,
) -> Path:
    """Predict whole slides, and return the folder of GeoJSON, heat maps and tables: the step `predict`.

    Args:
        model: arm (then its lowest seed), or path of a classifier.
        source: folder, or s3:// prefix, of slides.
        out: folder to write; docs/predict.md lists its files.
        settings: parameters of the step, such as {'slide_mpp': 0.25}.
        preset: name of a preset, or ''.
        overwrite: whether other predictions at `out` may be replaced.

    Raises:
        HistoforgeError: a setting, the model or the source cannot be used, or `out` may not be written.
    """
    inputs = {"model": model.path if isinstance(model, Arm) else Path(model)}
    given = {"source": str(source)}
    run_step("predict", out, inputs, given=given, settings=settings, preset=preset, overwrite=overwrite)
    return Path(out)


def export_patches(
    patches: Patches | str | Path,
    out: str | Path,
    *,
    title: str = "",
    audit: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a patch set as PNG files by class with a table of labels and a datasheet, and return the folder.

    Args:
        patches: the patch set, synthetic or real.
        out: folder to write.
        title: title of the datasheet; '' for the folder's name.
        audit: `metrics.json` of a comparison that was given these synthetic patches, for the datasheet.
        overwrite: whether another export at `out` may be replaced.

    Raises:
        HistoforgeError: the patch set is damaged, the audit is of another one, or `out` may not be written.
    """
    path, folder = as_path(patches), resolved_parent(Path(out))
    with claimed([Output(folder, "export")], {str(path): path}, overwrite=overwrite):
        exporting.export_patches(path, folder, title or folder.name, None if audit is None else Path(audit))
    return folder
