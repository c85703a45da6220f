"""Rules for the whole repository: its folders, and the content of its files."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"benchmarks", "components", "docs", "images", "manifests", "pipelines", "src", "tests"}

MACHINE_PATH = re.compile(r"(?<![\w.})\]/])/(?:work|root|home|Users)/\w")
SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
    r"|\b(?:ghp|gho|github_pat|glpat|hf|xoxb|xoxp)[_-][A-Za-z0-9_]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"
    r"|https?://[^/\s:@{}]+:[^/\s@{}]+@"
)
TYPED_KEY = re.compile(
    r"--from-literal=['\"]?(?:accesskey|secretkey|\w*(?:secret|token|password)\w*)="
    r"|\b(?:[A-Z_]*(?:SECRET_ACCESS_KEY|SECRET_KEY|ACCESS_KEY_ID|SESSION_TOKEN|EXISTING_TOKEN|COOKIES))=(?!\$|\s|$)"
    r"|--(?:token|password|secret-key)[= ](?!\$)\S"
)
LOCK_ADDRESS = re.compile(r"https?://|--(?:extra-)?index-url|--find-links", re.IGNORECASE)
PICKLES = {"cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def tracked() -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            found.append((path.relative_to(ROOT).as_posix(), content.decode("utf-8")))
    return found


def matches(pattern: re.Pattern[str], names: str = "") -> list[str]:
    """`file:line: text` of each line that a pattern matches, in tracked text files that end in `names`."""
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts()
        if name.endswith(names)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_the_top_level_has_its_folders_and_no_others() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT}
    assert {name for name in folders if not name.startswith(".")} <= FOLDERS


@pytest.mark.parametrize("text", ["/ro" + "ot/x", "cd /ho" + "me/someone", '"/wo' + 'rk/main"'])
def test_a_path_of_a_machine_is_recognised(text: str) -> None:
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["runs/work/x", "s3://bucket/work/a", "tmp_path/home/x", "{folder}/work/x"])
def test_another_path_is_not(text: str) -> None:
    assert not MACHINE_PATH.search(text)


def test_no_file_names_paths_of_a_machine() -> None:
    assert matches(MACHINE_PATH) == []


def test_no_file_holds_a_secret() -> None:
    assert matches(SECRETS) == []


@pytest.mark.parametrize("text", ["--from-literal=secretkey=SECRET", "export AWS_SECRET_ACCESS_KEY=...", "--token=abc"])
def test_a_key_on_a_command_line_is_recognised(text: str) -> None:
    assert TYPED_KEY.search(text)


@pytest.mark.parametrize("names", [".md", ".yaml", "Makefile", ".sh"])
def test_no_page_types_a_key_into_a_command(names: str) -> None:
    """The shell keeps its history: keys come from files and secrets."""
    assert matches(TYPED_KEY, names) == []


def test_the_lock_file_has_hashes_and_no_addresses() -> None:
    assert matches(LOCK_ADDRESS, "requirements.lock") == []
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    packages = [line for line in lines if "==" in line and not line.lstrip().startswith("#")]
    assert packages
    assert [line for line in packages if "--hash=sha256:" not in line] == []


def test_no_pickle_is_ever_loaded() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(ROOT).as_posix()}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                assert not PICKLES & {alias.name.split(".")[0] for alias in node.names}, where
            if isinstance(node, ast.ImportFrom):
                assert str(node.module).split(".")[0] not in {*PICKLES, "pickle"}, where
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
                assert node.attr == "UnpicklingError", where
            if isinstance(node, ast.Call):
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                called = ast.unparse(node.func)
                assert keywords.get("weights_only", "True") == "True", where
                assert keywords.get("allow_pickle", "False") == "False", where
                assert called != "torch.load" or "weights_only" in keywords, where
                assert called not in ("np.load", "numpy.load") or "allow_pickle" in keywords, where
                assert called not in ("yaml.load", "yaml.unsafe_load", "pd.read_pickle", "eval", "exec"), where


def test_helper_modules_of_tests_have_names_of_their_own() -> None:
    """pytest puts the folders of test modules on one path, where the first of two modules of a name hides the other."""
    folders = {path.parent for path in ROOT.glob("tests/**/*.py") if not (path.parent / "__init__.py").exists()}
    names = [path.stem for folder in folders for path in folder.glob("*.py") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


def test_each_deviation_is_cited_in_the_modules_that_the_table_names() -> None:
    table = (ROOT / "docs" / "deviations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (A\d-\d+) \|.*\| ([^|]*) \|$", table, re.MULTILINE)
    assert len(rows) > 50
    for code, modules in rows:
        for name in re.findall(r"`([^`]+)`", modules):
            module = ROOT / "src" / "histoforge" / name
            files = [path for path in (module, *module.rglob("*")) if path.suffix in (".py", ".yaml")]
            assert any(re.search(rf"\b{code}\b", path.read_text(encoding="utf-8")) for path in files), (code, name)
