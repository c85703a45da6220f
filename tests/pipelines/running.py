"""`histoforge run` as a user types it, on a tiny source."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tiny_study import SETTINGS

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
PROGRAM = Path(sys.executable).with_name("histoforge")


def command(pipeline, source, out, *flags, **more):
    settings = [word for name, value in {**SETTINGS, **more}.items() for word in ("--set", f"{name}={value}")]
    return [
        str(PROGRAM),
        "run",
        pipeline,
        "--source",
        str(source),
        "--out",
        str(out),
        "--preset",
        "",
        *flags,
        *settings,
    ]


def run(*arguments, **more):
    return subprocess.run(command(*arguments, **more), capture_output=True, text=True, check=False, env=ENVIRONMENT)


def start(source, out, **more):
    """The command as a process of a session of its own, which heeds Ctrl-C even where this one was told not to."""
    return subprocess.Popen(
        command("selective-augmentation", source, out, **more),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs yet
    )
