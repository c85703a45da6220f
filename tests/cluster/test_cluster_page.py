"""The pages on clusters: their commands exist and accept the options shown."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer
import yaml

from histoforge.cli.app import build
from histoforge.cluster.packages import open_package
from histoforge.cluster.run_parameters import run_parameters
from histoforge.cluster.schedules import read_schedules
from histoforge.core.settings import parse_overrides

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
CHECK = (ROOT / "docs" / "cluster-check.md").read_text(encoding="utf-8")
RUNS = (ROOT / "docs" / "kubeflow.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r" *```sh\n(.*?)```", PAGE + RUNS, re.DOTALL)).replace("\\\n", " ")
COMMANDS = [line for line in BLOCKS.splitlines() if line.startswith("histoforge ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_accept_the_options_on_the_page(line):
    arguments = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(build(arguments[0]))
    context = click.Context(command)
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
        context = click.Context(command, parent=context)
    # raises UsageError for an option that the command does not have, and for a value that does not fit it
    parsed = command.make_context(command.name, arguments)
    assert parsed.args == []


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("histoforge submit")])
def test_runs_on_the_pages_have_parameters_that_their_pipelines_take(line):
    arguments = shlex.split(line)[2:]
    options = list(zip(arguments[1::2], arguments[2::2], strict=True))
    source = dict(options)["--source"]
    given = parse_overrides([value for name, value in options if name == "--set"])
    package = open_package(arguments[0])
    parameters = {name: value for name, value in given.items() if name in package.inputs}
    overrides = {name: value for name, value in given.items() if name not in parameters}
    checked = run_parameters(package, "gpu", {**parameters, "source": source, "overrides": overrides})
    assert (checked["source"], checked.get("overrides", {})) == (source, overrides)


def test_the_page_lists_the_checks_that_there_are():
    from histoforge.cli.kubeflow.check.checks import CHECKS

    rows = re.findall(r"^\| (`.*?) \|", CHECK, re.MULTILINE)
    assert re.findall(r"`([a-z-]+)`", " ".join(rows)) == [*CHECKS, "clean"]


def test_the_pages_put_no_key_into_a_command_and_name_the_store_that_there_is():
    assert not re.search(r"from-literal=(access|secret)key", PAGE + RUNS)
    for folder in ("docs", "manifests", "src", "pipelines"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".md", ".yaml", ".py"):
                assert "minio-service" not in path.read_text(encoding="utf-8"), path


def test_the_retries_on_the_page_are_a_configuration_of_argo():
    (block,) = [text for text in re.findall(r"```yaml\n(.*?)```", RUNS, re.DOTALL) if "workflowDefaults" in text]
    strategy = yaml.safe_load(yaml.safe_load(block)["data"]["workflowDefaults"])["spec"]["templateDefaults"]
    assert set(strategy["retryStrategy"]) == {"limit", "retryPolicy", "expression"}
    assert strategy["retryStrategy"]["retryPolicy"] == "Always"
    assert strategy["retryStrategy"]["expression"].count("lastRetry.") == 3


@pytest.mark.parametrize("command", ["pipelines", "submit", "schedule", "cluster-check", "launcher"])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys\nfrom histoforge.cli import main\n"
        f"try: main([{command!r}, '--help'])\n"
        "except SystemExit: print('heavy:', *({'kfp', 'torch', 'numpy', 'kubernetes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy:\n")


def test_the_page_has_upload_submit_and_schedule():
    assert {" ".join(line.split()[1:3]) for line in COMMANDS} >= {
        "pipelines upload",
        "submit selective-augmentation",
        "schedule diff",
        "schedule apply",
        "schedule pause",
        "schedule delete",
    }


def test_files_overlays_and_schedules_on_the_page_are_there():
    for path in re.findall(r"manifests/[\w/.-]+", PAGE):
        assert (ROOT / path.rstrip(".")).exists(), path
    for name in re.findall(r"`((?:overlays|components|base)[\w/.-]*)`", PAGE):
        assert (ROOT / "manifests" / name).exists(), name
    declared = {schedule.name for schedule in read_schedules(ROOT / "manifests" / "recurring_runs.yaml")}
    assert set(re.findall(r"schedule (?:pause|delete) ([\w-]+)", PAGE)) <= declared


def test_the_profile_on_the_page_is_one(tmp_path):
    from histoforge_pipelines.profiles import profile_named

    (text,) = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "gpu_count" in block]
    (tmp_path / "mine.yaml").write_text(text)
    assert profile_named(str(tmp_path / "mine.yaml")).queue == yaml.safe_load(text)["queue"]
