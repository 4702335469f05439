"""`sanderling bench`: the engine beside the runtimes that a user could pick instead (docs/bench.md).

The same model, the same scaled samples in and scores out, one machine, one run, one thread. Each row runs in a process
of its own (worker.py), the processes take turns (measure.py), and a row counts when its answers agree with the native
ones (agree.py).
"""
