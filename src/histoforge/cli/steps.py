"""The commands of the steps, generated from their settings, inputs and outputs."""

import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from histoforge.cli import options
from histoforge.cli.help import COMMON, SectionedCommand, settings_by_section
from histoforge.cli.outputs import OVERWRITE, check_folder, claim_step, resolved_parent
from histoforge.core.claims import Output, claimed, command_digest, record, recorded
from histoforge.core.documents import read_yaml
from histoforge.core.errors import SettingsError
from histoforge.core.progress import say
from histoforge.core.settings import DEFAULT_PRESET, StepConfig, load_preset, parse_overrides, preset_names
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS, Port, Step

PRESET = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="settings to start from; 'histoforge presets' lists them",
        show_default=False,
        autocompletion=options.completion(preset_names()),
    ),
]
SET = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="set a parameter: 'epochs=3' or 'train_generator.epochs=3'; repeatable",
    ),
]
TEST_SOURCE = Annotated[
    str,
    typer.Option(
        "--test-source",
        help="folder, or s3:// or minio:// prefix, of slides or images of other patients, on which all arms are tested "
        "as well",
    ),
]
SYNTHETIC = Annotated[
    list[str] | None,
    typer.Option(
        "--synthetic",
        metavar="LOCATION",
        help="folder, or s3:// or minio:// prefix, of synthetic images by class or of a patch set, for the pipeline "
        "judge; repeatable",
    ),
]
ENTRANTS = Annotated[
    list[str] | None,
    typer.Option(
        "--entrant",
        metavar="LOCATION",
        help="folder, or s3:// or minio:// prefix, of a generator or of synthetic images that somebody else made, for "
        "the pipeline generator-benchmark; repeatable",
    ),
]
FILE = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="YAML file of settings, with one section per step")
]


DRY_RUN = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="print settings, sizes, steps and an estimate of the time; write nothing",
    ),
]


def add_steps(app: typer.Typer, command_name: str, method: str = "") -> None:
    """Add one command per step to `app`, and `phantom`.

    Args:
        app: the command line.
        command_name: the command that the user typed; only this one gets its options, so that `--help` is quick.
        method: generator method whose settings the help shows; '' for all.
    """
    for step in STEPS.values():
        name = step.name.replace("_", "-")
        parameters = _parameters(step, method) if name == command_name else []
        command = app.command(name, cls=SectionedCommand)
        command(options.command(_body(step), step.name, step.about, parameters))
    about = "Draw slides with annotated regions, patients, a pen mark and a corrupt file, for demonstrations."
    app.command("phantom")(options.command(_phantom, "phantom", about, _phantom_parameters(command_name)))


def read_settings(path: Path | None) -> dict[str, Any]:
    """Return the settings in a YAML file as overrides, `step.parameter` to value.

    Raises:
        SettingsError: if the file is missing, or is not YAML with one section per step.
    """
    if path is None:
        return {}
    sections = read_yaml(path, SettingsError, "give a YAML file of settings")
    if not isinstance(sections, dict):
        raise SettingsError(
            f"The settings file {path} has no sections: write 'train_generator:' and below it 'epochs: 3'."
        )
    overrides: dict[str, Any] = {}
    for section, values in sections.items():
        if isinstance(values, dict):
            overrides.update({f"{section}.{name}": value for name, value in values.items()})
        elif section != "description":
            overrides[str(section)] = values
    return overrides


def settings_of(step: Step, values: dict[str, Any]) -> StepConfig:
    """Return the settings of a command line. Later sources override earlier ones: preset, file, `--set`, options."""
    overrides = {**read_settings(values["config_file"]), **parse_overrides(values["assignments"] or [])}
    single = {name if "." in name else f"{step.section}.{name}": value for name, value in overrides.items()}
    single.update(
        {f"{step.section}.{name}": value for name, value in options.given_settings(step.config_class, values).items()}
    )
    preset, notice = _preset(step, values)
    config = step_config(step, preset, single)
    if notice:
        say(notice)
    return config


def _preset(step: Step, values: dict[str, Any]) -> tuple[str, str]:
    """Return the preset of a command line: the named one, or `quickstart` without a GPU; and a message about it.

    The full-size defaults of the settings classes are meant for a GPU: on a CPU, one training step with them can take
    most of a minute. `--preset ''` selects them on any machine. Components do not use this function: their empty preset
    means these defaults wherever they run.

    Args:
        step: the step.
        values: values of the command's options by name.
    """
    preset = values["preset"]
    if preset is not None:
        return str(preset), ""
    sections = {section.partition(".")[0] for section in load_preset(DEFAULT_PRESET)}
    if step.section not in sections or _has_gpu():
        return "", ""
    return DEFAULT_PRESET, (
        f"No GPU was found, so the settings start from the preset {DEFAULT_PRESET}, which is meant for two CPU cores: "
        "select another one with --preset NAME, or the full-size defaults with --preset ''."
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _parameters(step: Step, method: str) -> list[inspect.Parameter]:
    sections = settings_by_section(step, method)
    settings = [options.setting_parameter(name, field, section) for name, (section, field) in sections.items()]
    common = [parameter for parameter in settings if sections[parameter.name][0] == COMMON]
    return [
        *common,
        *map(_port, step.inputs),
        options.parameter("out", _out(step)),
        options.parameter("preset", PRESET, None),
        options.parameter("overwrite", OVERWRITE, False),
        options.parameter("assignments", SET, None),
        options.parameter("config_file", FILE, None),
        options.parameter("dry_run", DRY_RUN, False),
        *(parameter for parameter in settings if parameter not in common),
    ]


def _phantom_parameters(command_name: str) -> list[inspect.Parameter]:
    if command_name != "phantom":
        return []
    from histoforge.steps.phantom_config import PhantomConfig

    out = Annotated[Path, typer.Option("--out", metavar="DIR", help="folder to create")]
    return [
        options.parameter("out", out),
        options.parameter("dry_run", DRY_RUN, False),
        options.parameter("overwrite", OVERWRITE, False),
        *options.setting_parameters(PhantomConfig),
    ]


def _body(step: Step) -> Any:
    def body(values: dict[str, Any]) -> None:
        flags = options.given_settings(step.config_class, values)
        with options.errors_name_options(
            step.name, step.config_class.model_fields, flags, " ".join(values["assignments"] or [])
        ):
            run(values)

    def run(values: dict[str, Any]) -> None:
        config = settings_of(step, values)
        paths = {port.name: values[port.name] for port in step.inputs}
        out = resolved_parent(values["out"])
        paths.update({port.name: out / port.file if port.file else out for port in step.outputs})
        if values["dry_run"]:
            from histoforge.tasks.dry_run import dry_run

            show_plan(dry_run(step, config, {port.name: values[port.name] for port in step.inputs}))
            return
        with claim_step(step, config, paths, out, values["overwrite"]):
            from histoforge.tasks import distributed_launch
            from histoforge.tasks.timings_file import named_usage, write_timings
            from histoforge.tasks.usage import Meter

            meter = Meter()
            summary = distributed_launch.run(step, config, paths)
            write_timings(out, [named_usage(step.name, step.name, meter.read())])
        say(f"written to {out}")
        print(json.dumps(summary.model_dump(mode="json"), indent=2))

    return body


def show_plan(plan: dict[str, Any]) -> None:
    """Print the result of a dry run as YAML."""
    print(yaml.safe_dump(plan, sort_keys=False, allow_unicode=True, width=120), end="")


def _phantom(values: dict[str, Any]) -> None:
    from histoforge.steps import phantom
    from histoforge.steps.phantom_config import PhantomConfig

    given, out = options.given_settings(PhantomConfig, values), resolved_parent(values["out"])
    with options.errors_name_options("phantom", PhantomConfig.model_fields, given, ""):
        config = PhantomConfig.make(given)
    if values["dry_run"]:
        show_plan({"step": "phantom", "settings": config.model_dump(mode="json")})
        return
    check_folder(out)
    digest = command_digest(config.model_dump(mode="json"), {})
    same = recorded(out, "phantom") == digest
    with claimed([Output(out, "slides")], {}, overwrite=values["overwrite"], same=same):
        record(out, "phantom", digest)  # before the slides, so that a killed command can be repeated
        summary = phantom.run(config, out=out)
    print(f"{out}: {len(summary.slides)} slides of {summary.patients} patients")


def _port(port: Port) -> Any:
    flag = f"--{port.name.replace('_', '-')}"
    option = typer.Option(flag, metavar="PATH", help=port.about)
    if port.many:
        option = typer.Option(flag, flag.removesuffix("s"), metavar="PATH", help=f"{port.about}; repeatable")
        if port.optional:
            return options.parameter(port.name, Annotated[list[Path] | None, option], None)
        return options.parameter(port.name, Annotated[list[Path], option])
    if port.optional:
        return options.parameter(port.name, Annotated[Path | None, option], None)
    return options.parameter(port.name, Annotated[Path, option])


def _out(step: Step) -> Any:
    files = [port for port in step.outputs if port.file]
    about = "; ".join(f"{port.file}: {port.about}" for port in files) or step.outputs[0].about
    return Annotated[Path, typer.Option("--out", metavar="DIR", help=f"folder to create ({about})")]
