"""Write the generated files: each component's YAML and README, each pipeline's YAML, and some as Kubernetes resources.

`make compile` runs it; `python -m histoforge_pipelines.compile --check` lists outdated files and exits with 1, and
`--out FOLDER` writes elsewhere, with the manifests beside it, for a custom registry (`HISTOFORGE_REGISTRY`), images
(`HISTOFORGE_IMAGE`, `HISTOFORGE_IMAGE_DIGESTS`: see `histoforge_components.image`) or profile (`HISTOFORGE_PROFILE`).
An installed package has no manifests and needs `--out`.
"""

import ast
import json
import re
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import histoforge_components
from histoforge_components.image import REGISTRY, VERSION, pinned
from histoforge_pipelines.gitops import gitops_resources
from histoforge_pipelines.interfaces import interface, recorded
from histoforge_pipelines.one_step import one_steps
from histoforge_pipelines.readme import component_readme
from histoforge_pipelines.table import PIPELINES, Pipeline
from kfp.compiler import Compiler

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(histoforge_components.__file__).parent
COMPONENTS = sorted(path.parent.name for path in PACKAGE.glob("*/component.py"))

INTERFACES = Path("components") / "interfaces.json"

_DEFAULT = re.compile(r"(?m)^(#    \w+: (?:list|dict) \[Default: )(.*)\]$")
_IMAGE = re.compile(r"(?m)(\bimage: )(\S+:[^/\s]+)$")
_SDK = re.compile(r"sdkVersion: kfp-\S+")


def write_all(folder: Path) -> list[Path]:
    """Write everything below `folder`, and return the paths relative to it."""
    written = []
    for name in COMPONENTS:
        component = getattr(import_module(f"histoforge_components.{name}.component"), name)
        target = folder / "components" / name
        target.mkdir(parents=True, exist_ok=True)
        _compile(component, target / "component.yaml")
        (target / "README.md").write_text(component_readme(name, component), encoding="utf-8")
        written += [target / "component.yaml", target / "README.md"]
        for file, pipeline in one_steps(component).items():
            _compile(pipeline, target / file)
            written.append(target / file)
    for entry in PIPELINES.values():
        written += write_pipeline(entry, folder)
    target = folder / INTERFACES
    target.write_text(json.dumps(_interfaces(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    written.append(target)
    return [path.relative_to(folder) for path in written]


def write_pipeline(entry: Pipeline, folder: Path) -> list[Path]:
    """Write a pipeline's YAML, and its Kubernetes resources if it has them, below `folder`, and return the paths."""
    compiled = folder / "pipelines" / f"{entry.function}.yaml"
    compiled.parent.mkdir(parents=True, exist_ok=True)
    _compile(entry.load(), compiled)
    if not entry.gitops:
        return [compiled]
    target = folder / _gitops_file(entry)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(gitops_resources(compiled, VERSION), encoding="utf-8")
    return [compiled, target]


def _gitops_file(entry: Pipeline) -> Path:
    return Path("manifests") / "components" / "gitops" / f"{entry.function}.yaml"


def write_manifests(folder: Path, registry: str) -> list[Path]:
    """Copy the manifests that are not generated below `folder`, with images from `registry` ('' keeps their own).

    Returns:
        The paths relative to `folder`.
    """
    generated = {ROOT / _gitops_file(entry) for entry in PIPELINES.values() if entry.gitops}
    written = []
    for path in sorted(set((ROOT / "manifests").rglob("*.yaml")) - generated):
        text = path.read_text(encoding="utf-8")
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_IMAGE.sub(lambda match: match[1] + _moved(match[2], registry), text), encoding="utf-8")
        written.append(target.relative_to(folder))
    return written


def _moved(image: str, registry: str) -> str:
    """Return an image of a manifest in `registry`; the project's own images are pinned if digests are known."""
    name = image.rpartition("/")[2]
    moved = f"{registry}/{name}" if registry else image
    return pinned(moved) if name.startswith("histoforge-") else moved


def _interfaces() -> dict[str, Any]:
    """Return the expected contents of `INTERFACES`."""
    new = {}
    for name in COMPONENTS:
        component = getattr(import_module(f"histoforge_components.{name}.component"), name)
        new[f"components/{name}"] = interface(component)
        for file, pipeline in one_steps(component).items():
            new[f"components/{name}/{file.removesuffix('.yaml')}"] = interface(pipeline)
    for entry in PIPELINES.values():
        new[f"pipelines/{entry.function}"] = interface(entry.load())
    record = PACKAGE / INTERFACES.name
    former = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else None
    return recorded(former, new, VERSION)


def outdated() -> list[Path]:
    """Return the generated files that differ from their source, ignoring the patch version of kfp."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        return [path for path in write_all(fresh) if _text(fresh / path) != _text(ROOT / path)]


def _compile(component: object, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Compiler().compile(component, str(path))
    text = path.read_text(encoding="utf-8")
    path.write_text(_DEFAULT.sub(lambda match: match[1] + _in_order(match[2]) + "]", text), encoding="utf-8")


def _in_order(default: str) -> str:
    """Return a default in the head's comment with sorted keys, because kfp writes them in any order."""
    return json.dumps(ast.literal_eval(default), sort_keys=True)


def _text(path: Path) -> str:
    return _SDK.sub("sdkVersion: kfp", path.read_text(encoding="utf-8")) if path.is_file() else ""


def main() -> None:
    """Write the files or, with `--check`, compare them."""
    try:
        _main()
    except ValueError as error:
        sys.exit(str(error))


def _main() -> None:
    if sys.argv[1:2] != ["--out"] and not (ROOT / "pyproject.toml").is_file():
        raise ValueError("histoforge is installed here without its repository: say where to write, with --out FOLDER.")
    if "--check" not in sys.argv[1:]:
        folder = Path(sys.argv[2]).resolve() if sys.argv[1:2] == ["--out"] else ROOT
        if folder.exists() and not (folder / INTERFACES).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} is there already and was not compiled: name a new folder.")
        written = write_all(folder)
        if folder != ROOT:
            written += write_manifests(folder, REGISTRY)
        print("\n".join(map(str, written)))
        return
    if stale := outdated():
        sys.exit(f"Out of date, run 'make compile': {', '.join(map(str, stale))}")


if __name__ == "__main__":
    main()
