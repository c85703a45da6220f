"""The order of the rooms, and what may be imported where."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "histoforge"
ROOMS = [
    "core", "storage", "patches", "slides", "phantom", "training", "layers", "metrics", "siamese", "classifiers",
    "generators", "selection", "registry", "reports", "steps", "presets", "cluster", "cli",
]  # fmt: skip
MODULES = sorted(SOURCE.rglob("*.py"))
NAMED_MODULE = re.compile(r"histoforge(\.[a-z_][a-z0-9_]*)+")


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
    """All modules imported in a tree, and those of ours that a string names for `import_module`."""
    for node in ast.walk(tree):
        yield from imported(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAMED_MODULE.fullmatch(node.value):
            yield node.value


def imports_outside_functions(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported(node)
            yield from imports_outside_functions(node)


def rooms_of(modules: Iterator[str]) -> set[str]:
    parts = [module.split(".") for module in modules]
    return {part[1] for part in parts if part[0] == "histoforge" and len(part) > 1} & set(ROOMS)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def test_every_module_stands_in_a_room() -> None:
    assert {path.relative_to(SOURCE).parts[0] for path in MODULES} == {*ROOMS, "__init__.py", "__main__.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_above_it(room: str) -> None:
    allowed = {room, *ROOMS[: ROOMS.index(room)]}
    wrong = {relative(path): rooms_of(imports(parse(path))) - allowed for path in sorted((SOURCE / room).rglob("*.py"))}
    assert {path: rooms for path, rooms in wrong.items() if rooms} == {}


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


def test_settings_import_nothing_heavy() -> None:
    names = [
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        for path in [*sorted((SOURCE / "steps" / "config").glob("[a-z]*.py")), SOURCE / "steps" / "registry.py"]
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(*(set(sys.modules) & {'torch', 'numpy', 'pandas', 'scipy', 'PIL', 'kfp', 'minio', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_components_and_pipelines_import_steps_inside_functions_alone() -> None:
    own = {"histoforge_components", "histoforge_pipelines", "kfp", *sys.stdlib_module_names}
    for path in sorted([*(ROOT / "components").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]):
        tree = parse(path)
        assert {module.split(".")[0] for module in imports_outside_functions(tree)} <= own, relative(path)
        assert rooms_of(imports(tree)) <= {"steps"}, relative(path)
