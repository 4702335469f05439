"""Logs: templates of a library (drain3), their sequence and rate through the sensor detector, the text through the
views."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sanderling.errors import CalibrationError
from sanderling.extras import require
from sanderling.text.clean import clean
from sanderling.text.detector import RATE, TextDetector
from sanderling.text.views import Scale

RECENT = 64  # lines over which a template's rate is taken
LEAST = 1024  # reference lines: half calibrates the sensor detector, half scales it
SAYS_AT_LEAST = 2.0  # nats below which the sequence says nothing
UNSEEN = -1
CHANNELS = ("transition", "rarity", "rate")


class Templates:
    """Templates of the reference (drain3's Drain), and how often each follows each."""

    def __init__(self, lines: Iterable[str]) -> None:
        drain = require("drain3.drain", "text")
        self._drain: Any = drain.Drain()
        lines = list(lines)
        for line in lines:
            self._drain.add_log_message(line)
        ids = [self.find(line) for line in lines]
        self.counts = Counter(ids)
        self.pairs = Counter(zip(ids[:-1], ids[1:], strict=True))
        self.total = len(ids)

    def find(self, line: str) -> int:
        """The id of a line's template; `UNSEEN` for none."""
        cluster = self._drain.match(line, "fallback")
        return UNSEEN if cluster is None else int(cluster.cluster_id)

    def text(self, identity: int) -> str:
        """A template with its wildcards; empty for `UNSEEN`."""
        return "" if identity == UNSEEN else str(self._drain.id_to_cluster[identity].get_template())


class TemplateSignal:
    """Lines one after the other -> float32 rows of `CHANNELS`: -ln p(template | the one before), -ln p(template), and
    ln(1 + the template's lines among the last `RECENT`)."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates
        self._before = UNSEEN
        self._recent: deque[int] = deque(maxlen=RECENT)

    def row(self, line: str) -> tuple[int, tuple[float, float, float]]:
        known = self.templates
        identity = known.find(line)
        kinds = len(known.counts)
        prior = (known.counts[identity] + 0.5) / (known.total + 0.5 * (kinds + 1))
        follows = known.pairs[self._before, identity]
        transition = (follows + 2 * prior) / (known.counts[self._before] + 2)
        self._recent.append(identity)
        self._before = identity
        return identity, (-np.log(transition), -np.log(prior), np.log1p(self._recent.count(identity)))

    def rows(self, lines: Iterable[str]) -> NDArray[np.float32]:
        return np.array([self.row(line)[1] for line in lines], np.float32).reshape(-1, len(CHANNELS))


class LogDetector:
    """One score a line: the text's nats + what the sequence's nats exceed `SAYS_AT_LEAST` by.

    The order of lines counts, in the reference too. `text` scores the line alone."""

    def __init__(self, text: TextDetector, templates: Templates, sensor: Any, scale: Scale, threshold: float) -> None:
        self.text, self.templates, self.sensor, self.scale, self.threshold_ = text, templates, sensor, scale, threshold

    @classmethod
    def calibrate(
        cls, lines: Sequence[str | bytes], text: TextDetector, model: Any = None, rate: float = RATE
    ) -> LogDetector:
        """lines: normal ones in order; text: calibrated on them; model: of signals (default: the shipped one). Raises
        CalibrationError for fewer than `LEAST` lines."""
        from sanderling.runtime.detector import Detector

        cleaned = [clean(line) or "" for line in lines]
        if len(cleaned) < LEAST:
            raise CalibrationError(f"expected at least {LEAST} normal lines, found {len(cleaned)}; give more")
        half = len(cleaned) // 2
        templates = Templates(cleaned[:half])
        rows = TemplateSignal(templates).rows(cleaned)
        sensor = Detector.load(*([] if model is None else [model]))
        sensor.fit(rows[:half])
        own = sensor.decision_function(rows)[half:].astype(np.float64)
        scale = Scale.fit(own)
        detector = cls(text, templates, sensor, scale, 0.0)
        total = text.decision_function(cleaned[half:]) + detector._exceeds(own)
        detector.threshold_ = float(np.quantile(total, 1 - rate, method="higher"))
        return detector

    def decision_function(self, lines: Sequence[str | bytes]) -> NDArray[np.float64]:
        """Scores of lines in order, float64 (lines)."""
        cleaned = [clean(line) or "" for line in lines]
        if not cleaned:
            return np.zeros(0)
        rows = TemplateSignal(self.templates).rows(cleaned)
        return self.text.decision_function(cleaned) + self._exceeds(self.sensor.decision_function(rows))

    def _exceeds(self, scores: NDArray) -> NDArray[np.float64]:
        return np.maximum(self.scale.nats(np.asarray(scores, np.float64)) - SAYS_AT_LEAST, 0)
