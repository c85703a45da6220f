"""Read the format, identity and counts of a step's output from its own description."""

from pathlib import Path
from typing import Any

from histoforge.core.documents import known_shape, read_json
from histoforge.core.errors import HistoforgeError

FORMATS = {
    "patchset.json": "histoforge.patchset",
    "cuts.json": "histoforge.cuts",
    "model.json": "histoforge.model",
    "arm.json": "histoforge.arm",
    "scores.json": "histoforge.scores",
    "latents.json": "histoforge.latents",
    "image_scores.json": "histoforge.image_scores",
    "predictions.json": "histoforge.predictions",
}
"""The description file of each format."""

_METADATA = {
    "histoforge.patchset": ("digest", "classes", "patch_size", "mpp", "counts", "synthetic"),
    "histoforge.cuts": ("digest",),
    "histoforge.model": ("digest", "kind", "method", "classes", "patch_size", "mpp", "digests", "code_version"),
    "histoforge.scores": ("name", "method", "reward", "classes", "patch_size", "digests", "judge"),
    "histoforge.latents": ("digest", "classes", "patch_size", "factor", "digests", "code_version"),
    "histoforge.image_scores": ("name", "classes", "image_size", "images", "digests", "judge"),
    "histoforge.predictions": ("digest", "model", "classes", "cutting", "code_version"),
    "histoforge.arm": ("digest", "arm", "seeds", "classes", "counts", "digests", "code_version"),
}


def format_of(path: Path) -> str:
    """Return the format of a directory, or '' if it is not one of the project's."""
    return next((name for file, name in FORMATS.items() if (Path(path) / file).is_file()), "")


def description(path: Path) -> dict[str, Any]:
    """Return the JSON that describes a directory of a known format."""
    file = next(Path(path) / file for file in FORMATS if (Path(path) / file).is_file())
    with known_shape(file, HistoforgeError):
        return dict(read_json(file))


def artifact_metadata(path: Path) -> dict[str, Any]:
    """Return a directory's metadata for an artifact: format, schema version, identity, counts, seed.

    Returns an empty dict for a path of unknown format.
    """
    name = format_of(path)
    if not name:
        return {}
    content = description(path)
    metadata = {key: content[key] for key in _METADATA[name] if content.get(key) is not None}
    made_by = content.get("made_by") or {}
    config = content.get("config") or made_by.get("config") or {}
    fold, generator_seed = config.get("fold", -1), content.get("generator_seed", made_by.get("generator_seed"))
    if name == "histoforge.model" and content.get("kind") == "generator":
        generator_seed = config.get("seed")
    metadata |= {"fold": fold} if fold >= 0 else {}
    metadata |= {"generator_seed": generator_seed} if generator_seed is not None else {}
    if "seed" in config:
        metadata["seed"] = config["seed"]
    return {"format": name, "schema_version": content.get("schema_version", 1), **metadata}
