"""The commands of `histoforge` and their exit codes: 0, 2 with a one-sentence error, or a traceback for a bug."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from histoforge_pipelines.table import local_pipelines

from histoforge import __version__
from histoforge.cli.estimate import estimate
from histoforge.cli.help import shown_method
from histoforge.cli.kubeflow.check.command import cluster_check
from histoforge.cli.kubeflow.launcher import launcher_app
from histoforge.cli.kubeflow.schedule import schedule_app
from histoforge.cli.kubeflow.submit import submit
from histoforge.cli.kubeflow.uploads import pipelines_app
from histoforge.cli.models import add_models
from histoforge.cli.options import completion
from histoforge.cli.outputs import OVERWRITE
from histoforge.cli.png_files import export, generate
from histoforge.cli.similar import duplicates, similar
from histoforge.cli.steps import DRY_RUN, ENTRANTS, FILE, PRESET, SET, SYNTHETIC, TEST_SOURCE, add_steps, read_settings
from histoforge.core.errors import EXIT_CODE, HistoforgeError, explain_os_error
from histoforge.core.output import guard_output
from histoforge.core.settings import DEFAULT_PRESET, parse_overrides, preset_names
from histoforge.core.signals import INTERRUPTED, TERMINATED


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    guard_output()
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _terminated)  # the first process of a container would ignore the signal
    typed = arguments or _completed_arguments()
    command_name = next((argument for argument in typed if not argument.startswith("-")), "")
    command = typer.main.get_command(build(command_name, shown_method(arguments)))
    try:
        code = command.main(args=arguments, prog_name="histoforge", standalone_mode=False)
    except HistoforgeError as error:
        _end(str(error), EXIT_CODE)
    except (KeyboardInterrupt, typer.Abort):
        _end("stopped", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if not (sentence := explain_os_error(error)):
            raise
        _end(sentence, EXIT_CODE)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _end(error.format_message(), EXIT_CODE)
    if code == INTERRUPTED:
        _end("stopped", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def build(command_name: str = "", method: str = "") -> typer.Typer:
    """Build the command line.

    Args:
        command_name: the command that the user typed; among the steps, only this one gets its options.
        method: generator method whose settings its help shows; '' for all.
    """
    app = typer.Typer(
        help="Improve a classifier of histopathology slides with synthetic patches that are shown to help.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_callback)
    _add_run(app)
    app.command()(estimate)
    add_steps(app, command_name, method)
    app.command()(similar)
    app.command()(duplicates)
    app.command()(export)
    app.command()(generate)
    app.command()(inspect)
    add_models(app)
    app.command()(presets)
    app.add_typer(pipelines_app(), name="pipelines")
    app.command()(submit)
    app.add_typer(schedule_app(), name="schedule")
    app.command()(cluster_check)
    app.add_typer(launcher_app(), name="launcher")
    return app


def _completed_arguments() -> list[str]:
    """Return the arguments that a shell asks to complete; empty if this call is not for completion."""
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS", "")
    return line.split()[1:] if "_HISTOFORGE_COMPLETE" in os.environ else []


def _terminated(signum: int, frame: FrameType | None) -> None:
    os._exit(TERMINATED)


def _end(sentence: str, code: int) -> None:
    print(" ".join(sentence.split()), file=sys.stderr)
    sys.exit(code)


def _version(requested: bool) -> None:
    if requested:
        print(f"histoforge {__version__}")
        raise typer.Exit


def _callback(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _add_run(app: typer.Typer) -> None:
    pipelines = list(local_pipelines())

    @app.command()
    def run(
        pipeline: Annotated[
            str,
            typer.Argument(help=f"one of {', '.join(pipelines)}", autocompletion=completion(pipelines)),
        ],
        source: Annotated[
            str, typer.Option("--source", help="folder, or s3:// or minio:// prefix, of slides or images")
        ],
        out: Annotated[Path, typer.Option("--out", metavar="DIR", help="folder for the report and everything else")],
        synthetic: SYNTHETIC = None,
        entrants: ENTRANTS = None,
        test_source: TEST_SOURCE = "",
        preset: PRESET = DEFAULT_PRESET,
        assignments: SET = None,
        config_file: FILE = None,
        dry_run: DRY_RUN = False,
        overwrite: OVERWRITE = False,
    ) -> None:
        """Run a whole pipeline on this machine; the same command resumes it after a stop."""
        from histoforge.cli.run.planning import plan_run
        from histoforge.cli.run.runner import run_pipeline
        from histoforge.cli.steps import show_plan

        overrides = {**read_settings(config_file), **parse_overrides(assignments or [])}
        if test_source:
            overrides["test_source"] = test_source
        if synthetic:
            overrides["synthetic"] = synthetic
        if entrants:
            overrides["entrants"] = entrants
        if dry_run:
            show_plan(plan_run(pipeline, source, preset or "", overrides))
        else:
            run_pipeline(pipeline, source, out, preset or "", overrides, overwrite)


def inspect(path: Annotated[Path, typer.Argument(help="patch set, model, arm, report or folder of a run")]) -> None:
    """Show the contents of a patch set, a model, an arm or a run."""
    from histoforge.cli.inspection import show

    show(path)


def presets(
    name: Annotated[
        str, typer.Argument(help="preset whose settings are shown", autocompletion=completion(preset_names()))
    ] = "",
) -> None:
    """List the presets, or show the settings of one."""
    from histoforge.cli.presets import show_preset, show_presets

    if name:
        show_preset(name)
    else:
        show_presets()
