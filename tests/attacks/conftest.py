"""The fixtures of tests/helpers/live_fixtures.py."""

from tests.helpers.live_fixtures import broker, native, program, pump, recording, runner_and_watch, scores, watch

__all__ = ["broker", "native", "program", "pump", "recording", "runner_and_watch", "scores", "watch"]
