"""Worker processes: every job once, none waits for ever, whatever ends it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sanderling.errors import WorkerError
from sanderling.evaluate.processes import run_in_processes

JOBS = """
import time
from sanderling.evaluate.processes import run_in_processes
if __name__ == "__main__":
    def done(index, result):
        print(result, flush=True)
    try:
        print("begun", flush=True)
        run_in_processes({job}, (({argument},) for _ in range(9)), done, 2)
    except KeyboardInterrupt:
        print("interrupted")
"""


def start(job, argument):
    program = JOBS.format(job=job, argument=argument)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", program], **pipes, text=True, start_new_session=True)


def gone(worker):
    for _ in range(200):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_an_error_of_a_job_comes_back_as_it_was_after_the_results():
    found = {}
    with pytest.raises(ValueError, match="invalid literal") as caught:
        run_in_processes(int, [("1",), ("x",)], found.__setitem__, 2)
    assert found in ({}, {0: 1}) and "in a worker process" in str(caught.value.__cause__)


def test_what_does_not_pickle_is_an_error_here():
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        run_in_processes(lambda: None, [()], print, 2)
    with pytest.raises(TypeError, match="pickle"):
        run_in_processes(memoryview, [(b"x",)], print, 2)


def test_a_worker_that_is_killed_is_a_typed_error():
    with pytest.raises(WorkerError, match="use fewer workers"):
        run_in_processes(os._exit, [(1,)] * 4, print, 2)


def test_a_failure_of_the_caller_ends_the_workers():
    def full(*_):
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        run_in_processes(pow, ((i, 2) for i in range(9)), full, 2)


@pytest.mark.parametrize("after_s", [0.0, 0.03, 0.1])
def test_an_interrupt_while_workers_start_ends_them_all(after_s):
    running = start("time.sleep", "60")
    assert running.stdout.readline()
    time.sleep(after_s)
    os.killpg(running.pid, signal.SIGINT)
    assert running.communicate(timeout=30) == ("interrupted\n", "")


def test_workers_end_with_a_parent_that_was_killed():
    running = start("eval", "'__import__(\"os\").getpid()'")
    assert running.stdout.readline()
    worker = int(running.stdout.readline())
    running.kill()
    running.communicate()
    assert gone(worker)
