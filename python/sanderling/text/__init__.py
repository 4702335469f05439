"""Anomalous texts: cleaning, views of a text, a detector calibrated on normal ones, few labels, logs.

The score's arithmetic is docs/text_model.md; the encoder is the engine's (docs/text_core.md).
"""
