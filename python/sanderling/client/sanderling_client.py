"""Sanderling without its package: this one file, Python 3.6 or later, nothing but the standard library.

It drives the static runner `sanderling-run`, for boards whose Python has no wheel (JetPack 4 and 5). Copy it next to
the runner and the model:

    import sanderling_client
    det = sanderling_client.Detector("pump.gguf", runner="./sanderling-run")
    scores = det.decision_function(rows)      # rows: sequence of numbers, or of equally long sequences of numbers
    labels = det.predict(rows)
    det.fit(normal_rows).save("pump.gguf")
    with det.stream() as stream:
        scores = stream.update(rows)          # what the runner has finished by now
        scores += stream.flush()              # the rest; together equal to decision_function

A score is a float (nan where a channel's data are missing for too long). None and nan are missing values. Errors are
SanderlingError with the runner's own message.
"""

import json
import math
import os
import shutil
import subprocess
import tempfile
import threading

__all__ = ["Detector", "SanderlingError", "Stream"]


class SanderlingError(Exception):
    """What was expected, what was found, what to do; one line."""


def _cell(value):
    if value is None:
        return ""
    number = float(value)
    return repr(number) if math.isfinite(number) else ("" if math.isnan(number) else "inf" if number > 0 else "-inf")


def _text(rows):
    """Rows as CSV without a header; SanderlingError for rows of different lengths."""
    lines, width = [], None
    for row in rows:
        cells = [_cell(v) for v in row] if hasattr(row, "__iter__") else [_cell(row)]
        if width is None:
            width = len(cells)
        if len(cells) != width or width == 0:
            raise SanderlingError("expected rows of %s numbers, found one of %d; make them equal" % (width, len(cells)))
        # A row of one empty cell would be an empty line, which CSV readers skip.
        lines.append(",".join(cells) if cells != [""] else "nan")
    return "".join(line + "\n" for line in lines), width


def _header(width):
    return ",".join("x%d" % i for i in range(width)) + "\n"


def _score(value):
    return math.nan if value is None else value


class Detector:
    """A model and the runner that computes it. period_s: seconds a sample; false_alarms: wanted per day, or per 10,000
    samples where the period is unknown. Both count for models that are not calibrated, and for `fit`."""

    def __init__(self, model, runner="sanderling-run", period_s=None, false_alarms=None, isa=None):
        found = shutil.which(runner)
        if found is None:
            raise SanderlingError("expected the runner %s, found none; copy it here or give runner=" % runner)
        if not os.path.isfile(model):
            raise SanderlingError("expected the model %s, found none; check the path" % model)
        self.runner, self.model, self.threshold_ = found, model, math.nan
        self._both = ["--isa", isa] if isa else []
        self._cold = ["--period", repr(float(period_s))] if period_s else []
        self._cold += ["--false-alarms", repr(float(false_alarms))] if false_alarms else []
        self._folder = None

    def fit(self, rows):
        """Calibrates on a normal recording (at least 256 rows); returns itself."""
        text, width = _text(rows)
        if width is None:
            raise SanderlingError("expected at least 256 rows to calibrate on, found none; record more")
        folder = tempfile.mkdtemp(prefix="sanderling-")
        target = os.path.join(folder, "calibrated.gguf")
        command = [self.runner, "--calibrate", "-", "-o", target] + self._both + self._cold + [self.model]
        try:
            _run(command, _header(width) + text)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._discard()
        self.model, self._folder = target, folder
        return self

    def save(self, path):
        """Writes the model, calibration included; a file that was there is replaced in one step."""
        temporary = "%s.%d" % (path, os.getpid())
        try:
            shutil.copyfile(self.model, temporary)
            os.replace(temporary, path)
        except OSError as error:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise SanderlingError("expected to write %s, found: %s; check the folder" % (path, error.strerror))

    def decision_function(self, rows):
        """A score a row, higher is more anomalous; sets threshold_."""
        return [line[0] for line in self._lines(rows)]

    def predict(self, rows):
        """1 for rows above the threshold, else 0."""
        return [int(line[1]) for line in self._lines(rows)]

    def _lines(self, rows):
        text, width = _text(rows)
        if width is None:
            return []
        out = _run([self.runner, "--scores"] + self._both + self._cold + [self.model], _header(width) + text)
        lines = [json.loads(line) for line in out.splitlines()]
        threshold = lines.pop().get("threshold")
        self.threshold_ = _score(threshold)
        return [(_score(line["score"]), line["alarm"]) for line in lines]

    def stream(self):
        """A live stream; rows go in, scores come out as the runner finishes them."""
        return Stream([self.runner, "--scores"] + self._both + self._cold + [self.model])

    def _discard(self):
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __del__(self):
        if getattr(self, "_folder", None) is not None:
            self._discard()


class Stream:
    """A running runner. Use it in a with statement, or call flush."""

    def __init__(self, command):
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, universal_newlines=True
        )
        self._width, self._ready, self._lock = None, [], threading.Lock()
        self.threshold = math.nan
        # The runner's output is read all the time: a full pipe would stop it.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            found = json.loads(line)
            with self._lock:
                if "score" in found:
                    self._ready.append(_score(found["score"]))
                else:
                    self.threshold = _score(found.get("threshold"))

    def _take(self):
        with self._lock:
            taken, self._ready = self._ready, []
        return taken

    def update(self, rows):
        """Hands rows over and returns the scores that are finished by now (perhaps none), in order."""
        if self._process.stdin.closed:
            raise SanderlingError("expected an open stream, found one that has ended; open another")
        text, width = _text(rows)
        if width is None:
            return self._take()
        if self._width not in (None, width):
            raise SanderlingError("expected rows of %d numbers, found %d; open another stream" % (self._width, width))
        try:
            self._process.stdin.write(text if self._width else _header(width) + text)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._end()
        self._width = width
        return self._take()

    def flush(self):
        """Ends the stream and returns the remaining scores."""
        if self._width is None:
            self.close()
            return []
        self._end()
        return self._take()

    def close(self):
        """Stops the runner, whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
        self._finish()

    def _end(self):
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        status = self._process.wait()
        self._reader.join()
        self._errors.seek(0)
        message = self._errors.read().decode("utf-8", "replace").strip()
        self._finish()
        if status != 0:
            raise SanderlingError(message or "the runner ended with status %d" % status)

    def _finish(self):
        self._process.wait()
        self._reader.join()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            try:
                file.close()
            except BrokenPipeError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def _run(command, text):
    done = subprocess.run(
        command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False
    )
    if done.returncode != 0:
        raise SanderlingError(done.stderr.strip() or "the runner ended with status %d" % done.returncode)
    return done.stdout
