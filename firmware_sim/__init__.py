"""Firmware images, emulated boards and fault injection: a board on the desk, before there is one."""
