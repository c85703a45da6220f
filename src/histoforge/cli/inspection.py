"""`histoforge inspect`: show the contents of a directory or file that histoforge wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from histoforge.core.documents import known_shape, read_json
from histoforge.core.errors import SourceError
from histoforge.core.text import dimensions
from histoforge.tasks.artifact_metadata import format_of

SCORES = ("accuracy", "auc", "sensitivity", "specificity")
RANKED = ("fid", "kid", "precision", "recall")
RESULTS = ("metrics.json", "leaderboard.json")
INNER = ("patches", "overviews", "baseline", "generator", "selected", "samples", "scores")


def show(path: Path) -> None:
    """Print the contents of `path` as a table.

    Raises:
        HistoforgeError: if it does not exist, is damaged, or was not written by histoforge.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(f"There is no {path}: name a folder or file that histoforge wrote.")
    if path.is_file():
        return _print_results(_beside(path) if path.suffix == ".html" else path)
    if kind := format_of(path):
        title, read = READERS[kind]
        with known_shape(path, SourceError):
            values = read(path)
        return _print(f"{path}: {title}", values)
    for file, (title, read) in FOLDERS.items():
        if (path / file).is_file():
            return _print(f"{path}: {title}", read(path))
    for name in RESULTS:
        if (path / name).is_file():
            return _print_results(path / name)
    inner = [path / name for name in INNER if format_of(path / name)]
    if not inner:
        raise SourceError(f"{path} contains no patch set, model, arm or report: name a folder that histoforge wrote.")
    for artifact in inner:
        show(artifact)


def _patch_set(path: Path) -> dict[str, Any]:
    from histoforge.patches import PatchSet

    patches = PatchSet.open(path)
    patches.verify()
    info = patches.info
    values: dict[str, Any] = {
        "patches": len(patches),
        "patch size": dimensions(info.patch_size) + " px",
        "resolution": "unknown" if info.mpp is None else f"{info.mpp:g} um/px",
        "kind": "synthetic" if info.synthetic else "real",
    }
    for split, counts in info.counts.items():
        rows = patches.index[patches.index["split"] == split]
        patients = f", {rows['patient'].nunique()} patients" if not info.synthetic and len(rows) else ""
        values[split] = ", ".join(f"{count} {name}" for name, count in counts.items()) + patients
    made_by = info.made_by
    return {**values, "made by": made_by.get("step"), "settings": made_by.get("config"), "digest": info.digest}


def _model(path: Path) -> dict[str, Any]:
    from histoforge.training.model_files import load_model, read_model_info

    info = read_model_info(path)
    _, state = load_model(path, info.kind)
    return {
        "kind": info.kind,
        "method": info.method,
        "classes": ", ".join(info.classes),
        "patch size": dimensions(info.patch_size) + " px",
        "parameters": sum(tensor.numel() for tensor in state.values()),
        "training": info.training,
        "trained on": info.digests,
        "settings": info.config,
        "version": info.code_version,
        "digest": info.digest,
    }


def _arm(path: Path) -> dict[str, Any]:
    from histoforge.classifiers.arms import read_arm

    arm = read_arm(path)
    values = {name.replace("_", " "): value for name, value in arm.items() if name not in ("runs", "schema_version")}
    return {"validation accuracy": [run.get("val_accuracy") for run in arm["runs"]], **values}


def _scores(path: Path) -> dict[str, Any]:
    from histoforge.evaluation.generator_scores import read_scores
    from histoforge.evaluation.level_scores import means_by_level

    scores = read_scores(path)
    return {
        **scores.model_dump(include={"name", "method", "reward", "seed", "judge"}),
        "metrics": scores.judge_metrics.model_dump(exclude={"extractor"}),
        "levels": means_by_level(scores.levels, scores.judge),
        "path lengths": scores.paths.model_dump() if scores.paths else scores.paths_note,
        "spread": scores.diversity.spread,
        "signs of collapse": scores.diversity.collapsed,
        "labels found": scores.labels.micro,
        "drawing": scores.drawing.model_dump(),
        "digests": scores.digests.model_dump(),
        "warnings": scores.warnings,
    }


def _image_scores(path: Path) -> dict[str, Any]:
    from histoforge.evaluation.image_scores import read_image_scores
    from histoforge.evaluation.level_scores import means_by_level

    scores = read_image_scores(path)
    return {
        **scores.model_dump(include={"name", "images", "judge", "repeated", "real_repeated"}),
        "image size": dimensions(scores.image_size) + " px",
        "metrics": means_by_level(scores.levels, scores.judge),
        "seams": {"synthetic": scores.seams.mean, "real": scores.real_seams},
        "drawing": scores.drawing,
        "digests": scores.digests.model_dump(),
        "warnings": scores.warnings,
    }


def _latents(path: Path) -> dict[str, Any]:
    from histoforge.autoencoder.latents import LatentSet

    latents = LatentSet.open(path)
    info = latents.info.model_dump(exclude={"files", "schema_version"})
    return {"images": len(latents.index), "shape": str(latents.latents.shape), **info}


def _export(path: Path) -> dict[str, Any]:
    from histoforge.core.documents import read_model
    from histoforge.evaluation.datasheet import Datasheet

    sheet = read_model(Datasheet, path / "datasheet.json", SourceError, "export the patch set again")
    return sheet.model_dump(exclude={"schema_version"})


def _pictures(path: Path) -> dict[str, Any]:
    file = path / "pictures.json"
    with known_shape(file, SourceError):
        return dict(read_json(file, SourceError))


def _predictions(path: Path) -> dict[str, Any]:
    from histoforge.core.seals import read_sealed

    content = read_sealed(path / "predictions.json", 1, "run 'histoforge predict' again", SourceError)
    summary = {name.replace("_", " "): value for name, value in content["summary"].items() if value}
    return {
        **summary,
        "cutting": content["cutting"],
        "source": content["config"]["source"],
        "digest": content["digest"],
    }


def _beside(page: Path) -> Path:
    """Return the results from which a page was made."""
    beside = page.with_suffix(".json")
    return beside if beside.is_file() else page.with_name(RESULTS[0])


def _results(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise SourceError(f"There is no metrics.json beside the report {path.parent}: name that file.")
    results = read_json(path, SourceError, "name a metrics.json or report.html")
    if not isinstance(results, dict) or "answer" not in results:
        raise SourceError(f"{path} contains no results: name a metrics.json that evaluate or leaderboard wrote.")
    return results


def _print_results(path: Path) -> None:
    results = _results(path)
    with known_shape(path, SourceError):
        _print_answer(path, results)


def _print_answer(path: Path, results: dict[str, Any]) -> None:
    print(f"{path}\n\n{results['answer']['headline']}\n")
    for line in [*results["answer"]["lines"], *results["answer"].get("caveats", [])]:
        print(f"- {line}")
    if "methods" in results:
        _print_scores("method", RANKED, {name: entry["metrics"] for name, entry in results["methods"].items()})
        test: Any = (
            f"{results['data']['test_patches']} patches of {results['data']['test_units']} {results['data']['unit']}"
        )
    else:
        _print_scores("arm", SCORES, {name: arm["scores"] for name, arm in results["arms"].items()})
        test = results["data"]["patches"].get("test", {})
    for name, text in _rows({"test": test, "warnings": results["warnings"]}, ""):
        print(f"  {name:<28} {text}")


def _print_scores(kind: str, names: Sequence[str], scores: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"\n{kind:<24}" + "".join(f"{name:>20}" for name in names))
    for name, values in scores.items():
        print(f"{name:<24}" + "".join(f"{_score(values.get(score)):>20}" for score in names))
    print()


def _score(value: Mapping[str, Any] | None) -> str:
    if not value or value.get("mean") is None:
        return "-"
    spread = "" if value.get("deviation") is None else f" ± {value['deviation']:.3f}"
    return f"{value['mean']:.3f}{spread}"


def _cuts(path: Path) -> dict[str, Any]:
    from histoforge.ingest.slide_store import read_cuts

    return {"slides": list(read_cuts([path]))}


READERS = {
    "histoforge.patchset": ("patch set", _patch_set),
    "histoforge.cuts": ("cut slides", _cuts),
    "histoforge.latents": ("latents", _latents),
    "histoforge.model": ("model", _model),
    "histoforge.arm": ("arm", _arm),
    "histoforge.scores": ("scores of a generator", _scores),
    "histoforge.image_scores": ("scores of large images", _image_scores),
    "histoforge.predictions": ("predictions on slides", _predictions),
}


FOLDERS = {
    "datasheet.json": ("export of a patch set", _export),
    "pictures.json": ("pictures of a generator", _pictures),
}
"""The folders for other programs, which no step reads, by the file that describes each."""


def _print(title: str, values: Mapping[str, Any]) -> None:
    print(title)
    for name, text in _rows(values, ""):
        print(f"  {name:<28} {text}")


def _rows(values: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _rows(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            rows.append((f"{prefix}{name}", _text(value)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        text = ", ".join(_text(item) for item in value[:12])
        return f"{text}, … ({len(value)})" if len(value) > 12 else text
    return str(value)
