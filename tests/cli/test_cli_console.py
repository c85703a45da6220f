"""The output of a run: lines of its tasks and the reason of a failure, without kfp's messages."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time

from command_line import program

from histoforge.cli.run.console import Console, ToConsole, stopped_by_ctrl_c
from histoforge.tasks.task_log import RUN, TaskLog, parse

TASK = """
import sys
from histoforge.core.errors import SourceError
from histoforge.core.progress import say
from histoforge.tasks.task_process import task_process

with task_process("preprocess"):
    say("preprocess: 3/8 slides")
    print("noise of a library")
    {body}
"""


def run_task(body, run_id):
    code = TASK.format(body=body)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, RUN: run_id}
    )


def test_a_task_in_a_pod_ends_with_its_sentence():
    done = run_task("raise SourceError('There are no slides.')", "")
    assert (done.returncode, done.stderr) == (2, "preprocess: 3/8 slides\nThere are no slides.\n")


def test_a_task_of_a_run_marks_its_lines():
    done = run_task("raise SourceError('There are no slides.')", str(os.getpid()))
    started, *lines = [parse(line) for line in done.stderr.split("\n") if line]
    assert (started.kind, started.task, started.text.isdigit()) == ("started", "preprocess", True)
    assert lines == [
        ("progress", "preprocess", "preprocess: 3/8 slides"),
        ("error", "preprocess", "There are no slides."),
    ]
    assert done.returncode == 2


def test_ctrl_c_stops_the_tasks_that_run_and_those_that_start_later(tmp_path, capfd):
    """Sent to the command alone, as `kill -INT` does: the tasks are told by SIGTERM, which trainings heed."""
    tasks = [
        subprocess.Popen(
            [sys.executable, "-c", TASK.format(body="import time; time.sleep(60)")],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, RUN: str(os.getpid())},
        )
        for _ in range(2)
    ]
    started = [task.stderr.readline() for task in tasks]
    console = Console(tmp_path / "run.log")
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stopped_by_ctrl_c(console):
            console.write(started[0])
            signal.raise_signal(signal.SIGINT)
            assert tasks[0].wait() == -signal.SIGTERM
            assert tasks[1].poll() is None
            console.write(started[1])
            assert tasks[1].wait() == -signal.SIGTERM
            assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL  # the next one ends the process
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, previous)
        console.close()
    assert console.stopped
    assert "or press Ctrl-C again to stop at once" in capfd.readouterr().err


def test_a_bug_in_a_task_keeps_its_traceback():
    done = run_task("1 / 0", "")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_a_task_ends_with_the_run_that_started_it():
    ended = subprocess.Popen(["true"])
    ended.wait()
    done = run_task("import time; time.sleep(60)", str(ended.pid))
    assert done.returncode == -15


def test_a_command_has_an_action_for_sigterm_which_the_first_process_of_a_container_needs(tmp_path):
    command = [program(), "phantom", "--out", tmp_path / "slides", "--patients", "30"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        process.stderr.readline()
        process.terminate()
    assert process.returncode == 143


def test_the_console_shows_tasks_and_logs_the_rest(tmp_path, capsys):
    console = Console(tmp_path / "run.log")
    log = TaskLog("train_classifier gan", console)
    log.write("gan seed 0: 3/6 steps\nhalf a ")
    console.write("12:00:00.000 - INFO - Executing task \x1b[96m'train-classifier'\x1b[0m\n")
    log.write("line\n")
    console.write(
        "12:00:09.000 - INFO - Task \x1b[96m'train-classifier'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m\n"
    )
    log.write_error("A loss was not finite.")
    console.close()
    assert capsys.readouterr().err == (
        "train_classifier gan: gan seed 0: 3/6 steps\ntrain_classifier gan: half a line\n"
    )
    assert list(console.seconds) == ["train_classifier gan"]
    assert console.error == "A loss was not finite."
    assert "Executing task 'train-classifier'" in (tmp_path / "run.log").read_text()


def test_two_threads_do_not_mix_their_lines(tmp_path):
    console = Console(tmp_path / "run.log")

    def write(name):
        for number in range(200):
            console.write(f"{name} ")
            if number % 50 == 0:
                time.sleep(0.001)
            console.write(f"{number}\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    console.close()
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert sorted(lines) == sorted(f"{name} {number}" for name in ("first", "second") for number in range(200))


def test_results_from_kfps_cache_are_reported(tmp_path, capsys):
    console = Console(tmp_path / "run.log", {"preprocess": "Cut patches"})
    ToConsole(console).handle(
        logging.makeLogRecord(
            {"msg": "Task preprocess cache hit (key=1); skipping execution.", "levelno": logging.INFO}
        )
    )
    console.close()
    assert console.cached == ["Cut patches"]
    assert capsys.readouterr().err == "Cut patches: result reused\n"
