"""`histoforge inspect`: show the contents of a directory or file that the program wrote."""

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
        HistoforgeError: if it does not exist, is damaged, or was not written by the program.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(f"There is no {path}: name a folder or file that histoforge wrote.")
    if path.is_file():
        return _print_results(_beside(path) if path.suffix == ".html" else path)
    if kind := format_of(path):
        title, facts = SHOWN[kind]
        with known_shape(path, SourceError):
            shown = facts(path)
        return _print(f"{path}: {title}", shown)
    for name in RESULTS:
        if (path / name).is_file():
            return _print_results(path / name)
    inner = [path / name for name in INNER if format_of(path / name)]
    if not inner:
        raise SourceError(f"{path} holds no patch set, model, arm or report: name a folder that histoforge wrote.")
    for one in inner:
        show(one)


def _patch_set(path: Path) -> dict[str, Any]:
    from histoforge.patches import PatchSet

    patches = PatchSet.open(path)
    info = patches.info
    facts: dict[str, Any] = {
        "patches": len(patches),
        "patch size": dimensions(info.patch_size) + " px",
        "resolution": "unknown" if info.mpp is None else f"{info.mpp:g} um/px",
        "kind": "synthetic" if info.synthetic else "real",
    }
    for split, counts in info.counts.items():
        rows = patches.index[patches.index["split"] == split]
        patients = f", {rows['patient'].nunique()} patients" if not info.synthetic and len(rows) else ""
        facts[split] = ", ".join(f"{count} {name}" for name, count in counts.items()) + patients
    made_by = info.made_by
    return {**facts, "made by": made_by.get("step"), "settings": made_by.get("config"), "digest": info.digest}


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

    said = read_arm(path)
    facts = {name.replace("_", " "): value for name, value in said.items() if name not in ("runs", "schema_version")}
    return {"validation accuracy": [run.get("val_accuracy") for run in said["runs"]], **facts}


def _scores(path: Path) -> dict[str, Any]:
    from histoforge.evaluation.generator_scores import read_scores

    said = read_scores(path)
    return {
        **said.model_dump(include={"name", "method", "reward", "seed", "judge"}),
        "metrics": said.judge_metrics.model_dump(exclude={"extractor"}),
        "path lengths": said.paths.model_dump() if said.paths else said.paths_note,
        "spread": said.diversity.spread,
        "signs of collapse": said.diversity.collapsed,
        "labels found": said.labels.micro,
        "drawing": said.drawing.model_dump(),
        "digests": said.digests.model_dump(),
        "warnings": said.warnings,
    }


def _beside(page: Path) -> Path:
    """Return the results from which a page was made."""
    own = page.with_suffix(".json")
    return own if own.is_file() else page.with_name(RESULTS[0])


def _results(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise SourceError(f"There is no metrics.json beside the report {path.parent}: name that file.")
    said = read_json(path, SourceError, "name a metrics.json or report.html")
    if not isinstance(said, dict) or "answer" not in said:
        raise SourceError(f"{path} holds no results: name a metrics.json that evaluate or leaderboard wrote.")
    return said


def _print_results(path: Path) -> None:
    said = _results(path)
    with known_shape(path, SourceError):
        _print_answer(path, said)


def _print_answer(path: Path, said: dict[str, Any]) -> None:
    print(f"{path}\n\n{said['answer']['headline']}\n")
    for line in said["answer"]["lines"]:
        print(f"- {line}")
    if "methods" in said:
        _print_scores("method", RANKED, {name: one["metrics"] for name, one in said["methods"].items()})
        test: Any = f"{said['data']['test_patches']} patches of {said['data']['test_units']} {said['data']['unit']}"
    else:
        _print_scores("arm", SCORES, {name: arm["scores"] for name, arm in said["arms"].items()})
        test = said["data"]["patches"].get("test", {})
    for name, text in _rows({"test": test, "warnings": said["warnings"]}, ""):
        print(f"  {name:<28} {text}")


def _print_scores(kind: str, names: Sequence[str], scores: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"\n{kind:<24}" + "".join(f"{name:>20}" for name in names))
    for name, own in scores.items():
        print(f"{name:<24}" + "".join(f"{_score(own.get(score)):>20}" for score in names))
    print()


def _score(value: Mapping[str, Any] | None) -> str:
    if not value or value.get("mean") is None:
        return "-"
    spread = "" if value.get("deviation") is None else f" ± {value['deviation']:.3f}"
    return f"{value['mean']:.3f}{spread}"


SHOWN = {
    "histoforge.patchset": ("patch set", _patch_set),
    "histoforge.model": ("model", _model),
    "histoforge.arm": ("arm", _arm),
    "histoforge.scores": ("scores of a generator", _scores),
}


def _print(title: str, facts: Mapping[str, Any]) -> None:
    print(title)
    for name, text in _rows(facts, ""):
        print(f"  {name:<28} {text}")


def _rows(facts: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += _rows(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            rows.append((f"{prefix}{name}", _text(value)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        text = ", ".join(_text(one) for one in value[:12])
        return f"{text}, … ({len(value)})" if len(value) > 12 else text
    return str(value)
