"""Live input and output of `sanderling watch`: sources, events, the spool, MQTT and metrics (docs/live.md).

The runner (csrc/tool) does the same with the same words; only MQTT is here alone.
"""
