"""Log mode: the sequence and rate of templates through the sensor detector, each line's text through the views, one
score."""

from __future__ import annotations

import json
import os
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import CalibrationError, FormatError, SanderlingError
from sanderling.files import write_file
from sanderling.runtime.detector import Detector
from sanderling.text.clean import NO_RULES, Rules, clean
from sanderling.text.detector import RATE, Explanation, Progress, TextDetector, evenly
from sanderling.text.parts import DAMAGED, read_parts, zip_bytes
from sanderling.text.templates import UNSEEN, Templates
from sanderling.text.views import Scale

VERSION = 1
RECENT = 64  # lines over which a template's rate is taken
LEAST = 512  # reference lines: half calibrates the sensor detector, half scales it
SAYS_AT_LEAST = 2.0  # nats below which the sequence says nothing
CHANNELS = ("transition", "rarity", "rate")
PARTS = ("log.json", "text.gguf", "sensor.gguf")


class TemplateSignal:
    """Lines one after the other -> float32 rows of `CHANNELS`: -ln p(template | the one before), -ln p(template), and
    ln(1 + the template's lines among the last `RECENT`)."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates
        self._before = UNSEEN
        self._recent: deque[int] = deque(maxlen=RECENT)

    def row(self, line: str) -> tuple[float, float, float]:
        known = self.templates
        identity = known.find(line)
        kinds = len(known.counts)
        prior = (known.counts[identity] + 0.5) / (known.total + 0.5 * (kinds + 1))
        follows = known.pairs[self._before, identity]
        transition = (follows + 2 * prior) / (known.counts[self._before] + 2)
        self._recent.append(identity)
        self._before = identity
        return -np.log(transition), -np.log(prior), np.log1p(self._recent.count(identity))

    def rows(self, lines: Iterable[str]) -> NDArray[np.float32]:
        return np.array([self.row(line) for line in lines], np.float32).reshape(-1, len(CHANNELS))


class LogDetector:
    """One score a line: the text's nats + what the sequence's nats exceed `SAYS_AT_LEAST` by.

    The order of lines counts, in the reference too. `text` scores the line alone."""

    def __init__(
        self, text: TextDetector, templates: Templates, sensor: Detector, scale: Scale, threshold: float
    ) -> None:
        self.text, self.templates, self.sensor, self.scale, self.threshold_ = text, templates, sensor, scale, threshold

    @classmethod
    def calibrate(
        cls,
        lines: Sequence[str | bytes],
        encoder: str | os.PathLike[str] | bytes | None,
        rules: Rules = NO_RULES,
        rate: float = RATE,
        model: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> LogDetector:
        """lines: normal ones in order (empty ones and those that the rules drop are left out); encoder, rules, rate: as
        of `TextDetector.calibrate`; model: of signals (None: the shipped one). Extra: text. Raises CalibrationError for
        fewer than `LEAST` lines."""
        cleaned = [text for text in (clean(line, rules) for line in lines) if text]
        if len(cleaned) < LEAST:
            raise CalibrationError(f"expected at least {LEAST} normal lines, found {len(cleaned)}; give more")
        text = TextDetector.calibrate(cleaned, encoder, rules, rate, progress)
        half = len(cleaned) // 2
        templates = Templates.mine(cleaned[:half])
        rows = TemplateSignal(templates).rows(cleaned)
        sensor = Detector.load(model)
        sensor.fit(rows[:half])
        own = sensor.decision_function(rows)[half:].astype(np.float64)
        detector = cls(text, templates, sensor, Scale.fit(own), 0.0)
        # The text's own scores are each line's against all others: only the lines that it kept have one.
        kept = evenly(len(cleaned))
        later = kept >= half
        total = text.own_scores()[later] + detector._exceeds(own[kept[later] - half])
        detector.threshold_ = float(np.quantile(total, 1 - rate, method="higher"))
        return detector

    def decision_function(self, lines: Sequence[str | bytes]) -> NDArray[np.float64]:
        """Scores of lines in order, float64 (lines)."""
        if not len(lines):
            return np.zeros(0)
        text = self.text.decision_function(lines)
        rows = TemplateSignal(self.templates).rows(map(self._cleaned, lines))
        return text + self._exceeds(self.sensor.decision_function(rows))

    def watch(self, lines: Iterable[bytes]) -> Iterator[tuple[bytes, float]]:
        """Lines as they come, with their scores (`decision_function`'s). A line whose text alone is above the threshold
        comes at once, with the text's score; the others when their patch of 8 lines is complete."""
        signal, stream = TemplateSignal(self.templates), self.sensor.stream()
        waiting: deque[tuple[bytes, float]] = deque()
        for line in lines:
            score = float(self.text.decision_function([line])[0])
            waiting.append((line, score))
            if score > self.threshold_:
                yield line, score
            yield from self._completed(waiting, stream.update(signal.rows([self._cleaned(line)])))
        yield from self._completed(waiting, stream.flush())

    def _completed(self, waiting: deque[tuple[bytes, float]], sensor: NDArray) -> Iterator[tuple[bytes, float]]:
        for exceeds in self._exceeds(sensor):
            line, score = waiting.popleft()
            if score <= self.threshold_:
                yield line, score + float(exceeds)

    def predict(self, lines: Sequence[str | bytes]) -> NDArray[np.int64]:
        """1 = anomalous (score above `threshold_`), int64 (lines)."""
        return (self.decision_function(lines) > self.threshold_).astype(np.int64)

    def explain(self, line: str | bytes) -> Explanation:
        """Of the line's text; what its score has more comes from the sequence."""
        return self.text.explain(line)

    def _cleaned(self, line: str | bytes) -> str:
        return clean(line, Rules(self.text.rules.mask)) or ""

    def _exceeds(self, scores: NDArray) -> NDArray[np.float64]:
        return np.maximum(self.scale.nats(np.asarray(scores, np.float64)) - SAYS_AT_LEAST, 0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """One file, replaced atomically: a zip of `PARTS`; each .gguf in it is a detector by itself."""
        scale = {"ranks": self.scale.ranks.tolist(), "start": self.scale.start, "excess": self.scale.excess}
        header = {"version": VERSION, "threshold": self.threshold_, "scale": scale, **self.templates.to_json()}
        with TemporaryDirectory() as folder:
            self.text.save(Path(folder, PARTS[1]))
            self.sensor.save(Path(folder, PARTS[2]))
            Path(folder, PARTS[0]).write_text(json.dumps(header, ensure_ascii=False), "utf-8")
            data = zip_bytes({name: Path(folder, name).read_bytes() for name in PARTS})
        write_file(path, lambda out: out.write(data))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LogDetector:
        """Reads what `save` wrote. Raises FormatError (not ours, damaged)."""
        try:
            with zipfile.ZipFile(path) as file, TemporaryDirectory() as folder:
                for name, content in zip(PARTS, read_parts(file, PARTS), strict=True):
                    Path(folder, name).write_bytes(content)
                header = json.loads(Path(folder, PARTS[0]).read_text("utf-8"))
                if header["version"] != VERSION:
                    raise ValueError(f"version {header['version']}")
                scale = header["scale"]
                ranks = np.array(scale["ranks"], np.float64)
                numbers = (float(scale["start"]), float(scale["excess"]), float(header["threshold"]))
                if ranks.ndim != 1 or not len(ranks) or not np.isfinite([*ranks, *numbers]).all() or numbers[1] <= 0:
                    raise ValueError("its scale has no finite numbers")
                text, sensor = TextDetector.load(Path(folder, PARTS[1])), Detector.load(Path(folder, PARTS[2]))
                return cls(text, Templates.from_json(header), sensor, Scale(ranks, *numbers[:2]), numbers[2])
        except SanderlingError:
            raise
        except DAMAGED as error:
            raise FormatError(
                f"expected a log detector, found {path} (damaged, or not one); calibrate again"
            ) from error


def load(path: str | os.PathLike[str]) -> TextDetector | LogDetector:
    """The detector in a file, of texts or of a log."""
    try:  # a device may have no end
        with zipfile.ZipFile(path) if Path(path).is_file() else nullcontext() as file:
            is_log = file is not None and PARTS[0] in file.namelist()
    except DAMAGED:
        is_log = False  # TextDetector.load says what is wrong
    return LogDetector.load(path) if is_log else TextDetector.load(path)
