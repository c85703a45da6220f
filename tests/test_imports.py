"""Imports are allowed in one direction only: a contract of import-linter in `pyproject.toml` orders the packages."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "histoforge"
MODULES = sorted(SOURCE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(node: ast.AST) -> list[str]:
    """The modules that an import names; `from a import b` may import `a.b`, so both are listed."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def imports(tree: ast.AST) -> Iterator[str]:
    """All modules imported in a tree."""
    for node in ast.walk(tree):
        yield from imported(node)


def imports_outside_functions(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported(node)
            yield from imports_outside_functions(node)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def packages_of(modules: Iterator[str]) -> set[str]:
    parts = [module.split(".") for module in modules]
    return {part[1] for part in parts if part[0] == "histoforge" and len(part) > 1}


def test_the_import_contract_holds() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_contract_sees_every_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert set(settings["contracts"][0]["layers"]) == packages


@pytest.mark.parametrize("text", ["import kfp", "from kfp import dsl", "class A:\n    import kfp.local"])
def test_an_import_outside_functions_is_seen(text: str) -> None:
    assert "kfp" in {module.split(".")[0] for module in imports_outside_functions(ast.parse(text))}


def test_only_the_command_line_imports_kfp_and_only_when_called() -> None:
    for path in MODULES:
        tree = parse(path)
        everywhere, at_the_top = (
            {module.split(".")[0] for module in modules} for modules in (imports(tree), imports_outside_functions(tree))
        )
        assert "kfp" not in at_the_top, relative(path)
        assert "kfp" not in everywhere or path.is_relative_to(SOURCE / "cli"), relative(path)


LIGHT = [
    SOURCE / name
    for name in (
        "steps/step.py",
        "steps/table.py",
        "steps/settings.py",
        "tasks/table.py",
        "generators/methods.py",
        "generators/unified_networks.py",
        "core/registry.py",
    )
]
"""Tables of steps, tasks and methods, and their class, which import nothing heavy."""


def test_settings_import_nothing_heavy() -> None:
    names = [
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        for path in [*sorted((SOURCE / "steps").glob("*_config.py")), *LIGHT]
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(*(set(sys.modules) & {'torch', 'numpy', 'pandas', 'scipy', 'PIL', 'kfp', 'minio', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_components_and_pipelines_import_only_the_light_tables_outside_functions() -> None:
    allowed = {"histoforge_components", "histoforge_pipelines", "kfp", *sys.stdlib_module_names}
    light = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in LIGHT]
    for path in sorted([*(ROOT / "components").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]):
        tree = parse(path)
        modules = [module for module in imports_outside_functions(tree) if not module.startswith(tuple(light))]
        assert {module.split(".")[0] for module in modules} <= allowed, relative(path)
        assert packages_of(imports(tree)) <= {"core", "steps", "tasks", "generators"}, relative(path)
