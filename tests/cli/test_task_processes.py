"""Tasks of a local run are forks of one process, except for the first."""

import json
import os
import signal
import subprocess
import sys

from kfp.local import subprocess_task_handler

from histoforge.cli.run.task_processes import forked_tasks

CODE = """
import os
import sys
sys.stdout.write(f"imported: {'torch' in sys.modules}\\n")
import torch

def work():
    print("greeting:", os.environ["GREETING"])
    print("threads:", torch.get_num_threads())
    print("process:", os.getpid())
    os.environ["GREETING"] = "changed"
    print("an error", file=sys.stderr)
    sys.exit(3)
"""


def test_each_task_has_a_process_an_environment_and_threads_of_its_own(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("GREETING", "hello")
    words = json.dumps({"inputs": {}, "outputs": {"outputFile": str(tmp_path / "output.json")}})
    arguments = ["--executor_input", words, "--function_to_execute", "work"]
    processes = {str(os.getpid())}
    with forked_tasks():
        run = subprocess_task_handler.run_local_subprocess
        run(["sh", "-ec", 'echo "by kfp: $@"', CODE, *arguments])
        assert "by kfp: --executor_input" in capfd.readouterr().out
        for threads in (3, 2):
            assert run(["sh", "-ec", "", CODE, *arguments], {"OMP_NUM_THREADS": str(threads)}) == 3
            lines = capfd.readouterr().out.splitlines()
            assert {"imported: True", "greeting: hello", f"threads: {threads}", "an error"} <= set(lines)
            processes.update(line for line in lines if line.startswith("process: "))
    assert len(processes) == 3


def test_afterwards_kfp_starts_processes_as_before():
    plain = subprocess_task_handler.run_local_subprocess
    with forked_tasks():
        assert subprocess_task_handler.run_local_subprocess is not plain
    assert subprocess_task_handler.run_local_subprocess is plain


def test_ctrl_c_does_not_end_the_server_during_its_imports():
    code = """
from multiprocessing import forkserver
from histoforge.cli.run import task_processes
task_processes._fork_server()
status = open(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read()
print(int(status.split("SigBlk:")[1].split()[0], 16))
"""
    blocked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(blocked) & 1 << signal.SIGINT - 1
