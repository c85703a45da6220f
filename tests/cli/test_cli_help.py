"""Help: quick because it imports little, and complete because it is made from the settings."""

import os
import re
import subprocess
import sys

import pytest
from command_line import call, program

from histoforge.generators.methods import METHODS
from histoforge.steps.field_help import field_help
from histoforge.steps.table import STEPS

HEAVY = {"torch", "kfp", "pandas", "numpy", "scipy", "matplotlib", "rich", "minio", "PIL"}
COMMANDS = [
    "preprocess",
    "train-generator",
    "select-samples",
    "train-classifier",
    "evaluate",
    "phantom",
    "run",
    "similar",
    "duplicates",
]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command):
    code = f"""
import sys
from histoforge.cli import main
try:
    main({[command, "--help"] if command else ["--help"]!r})
except SystemExit:
    print("heavy:", *(set(sys.modules) & {HEAVY!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy:\n"), done.stdout[-300:]


@pytest.mark.parametrize("step", STEPS.values(), ids=lambda step: step.name)
def test_help_lists_every_parameter_with_bounds_unit_and_default(capsys, step):
    ended = call(capsys, step.name.replace("_", "-"), "--help")
    text = " ".join(ended.out.split())
    assert ended.code == 0
    for name, field in step.config_class.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert field.description
        assert field_help(field) in text.replace("- ", "-").replace("  ", " ") or field_help(field) in text
    for port in (*step.inputs, *step.outputs):
        assert port.about in text


def test_every_command_is_listed(capsys):
    listed = call(capsys, "--help").out
    assert all(f"\n  {command} " in listed for command in [*COMMANDS, "inspect", "presets"])


def test_the_installed_program_shows_its_version():
    done = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    from histoforge import __version__

    assert done.stdout == f"histoforge {__version__}\n"


def test_facts_of_bounds_units_and_choices():
    fields = STEPS["preprocess"].config_class.model_fields
    assert field_help(fields["mpp"]) == "um/px; 0.02 < x <= 50; default: 0.5"
    assert field_help(fields["split_by"]) == "one of patient, slide; default: patient"
    assert field_help(fields["source"]) == "required"
    assert field_help(fields["drop_conflicts"]) == "default: no"


def test_the_method_comes_first_and_each_setting_stands_with_the_methods_that_have_it(capsys):
    text = call(capsys, "train-generator", "--help").out
    sections = re.split(r"^(\S.*):$", text, flags=re.MULTILINE)
    options = {title: body.split() for title, body in zip(sections[1::2], sections[2::2], strict=True)}
    titles = list(options)
    assert titles[:2] == ["Options", "Settings of every method"]
    assert options["Options"][0] == "--method"
    assert "--epochs" in options["Settings of every method"]
    assert "--eta" in options["Settings of ddpm"]
    assert "--reward" in options["Settings of rleo"]
    assert "--real-target" in options["Settings of dcgan, improved_dcgan, rleo"]


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        (("--method", "ddpm"), "ddpm"),
        (("--method=wgan_gp",), "wgan_gp"),
        (("--preset", "quickstart"), "stylegan2"),
        (("--preset", "quickstart", "--method", "rleo"), "rleo"),
    ],
)
def test_the_help_of_a_method_shows_its_settings_and_no_others(capsys, arguments, method):
    text = call(capsys, "train-generator", *arguments, "--help").out
    fields = METHODS[method].config_class.model_fields
    for name in STEPS["train_generator"].config_class.model_fields:
        shown = re.search(rf"^  --{name.replace('_', '-')}(?![\w-])", text, re.MULTILINE) is not None
        assert shown == (name in fields or name == "method"), name
    assert f"default: {fields['batch_size'].default}]" in " ".join(text.split())


def test_a_preset_that_names_no_method_and_a_method_without_help_leave_all_options(capsys, tmp_path):
    assert "--eta" in call(capsys, "train-generator", "--preset", "nowhere", "--help").out
    arguments = (
        "train-generator",
        "--method",
        "dcgan",
        "--eta",
        "0",
        "--patches",
        "p",
        "--out",
        tmp_path,
        "--preset",
        "",
    )
    assert "the method 'dcgan' has no parameter --eta" in call(capsys, *arguments).err


def completed(line: str) -> list[str]:
    environment = {
        **os.environ,
        "_HISTOFORGE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    return subprocess.run([program()], env=environment, capture_output=True, text=True, check=False).stdout.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("histoforge train-g", ["train-generator"]),
        ("histoforge train-generator --method d", ["dcgan", "ddpm"]),
        ("histoforge train-generator --preset qu", ["quickstart"]),
        ("histoforge train-classifier --stem ", ["auto", "imagenet", "small"]),
        ("histoforge evaluate --overv", ["--overviews"]),
        ("histoforge run sel", ["selective-augmentation"]),
        ("histoforge presets d", ["demo"]),
        ("histoforge train-generator --patches ru", []),  # the shell's own names of files
    ],
)
def test_tab_completes_commands_options_methods_and_presets(line, names):
    assert completed(line) == names


def test_the_completion_is_installed_without_a_network(tmp_path):
    # The shell is the nearest one above the command; with something after the command, bash does not become it.
    typed = ["bash", "-c", f"'{program()}' --install-completion; exit $?"]
    subprocess.run(typed, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, check=True)
    assert "_HISTOFORGE_COMPLETE" in (tmp_path / ".bash_completions" / "histoforge.sh").read_text()


def test_python_m_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "histoforge", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: histoforge [OPTIONS] COMMAND")
