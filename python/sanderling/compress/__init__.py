"""Structured pruning, distillation and INT8 (needs the `train` extra; `macs` needs nothing)."""
