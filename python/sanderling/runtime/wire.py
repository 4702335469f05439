"""Protocol-buffer wire format, as much as ONNX needs: reads untrusted bytes, every length checked, and writes fields.

Source: the encoding chapter of the Protocol Buffers documentation.
"""

from __future__ import annotations

from collections.abc import Iterator

from sanderling.errors import FormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}

Field = tuple[int, int, int, int]  # number, wire type, start and end of the value in the buffer


def varint(data: bytes | memoryview, at: int, end: int) -> tuple[int, int]:
    """(value, position behind it). FormatError where it is cut off or longer than 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise FormatError("expected a whole number in the ONNX file, found its end; export or copy the file again")


def fields(data: bytes | memoryview, start: int, end: int) -> Iterator[Field]:
    """The fields of the message data[start:end], in order. FormatError where one does not fit."""
    at = start
    while at < end:
        tag, at = varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            begin, (_, at) = at, varint(data, at, end)
        elif kind in _FIXED:
            begin, at = at, at + _FIXED[kind]
        elif kind == BYTES:
            length, begin = varint(data, at, end)
            at = begin + length
        else:
            raise FormatError(f"expected wire type 0, 1, 2 or 5 in the ONNX file, found {kind}; it is damaged")
        if number == 0 or at > end:
            raise FormatError(
                "expected whole fields in the ONNX file, found one cut off; export or copy the file again"
            )
        yield number, kind, begin, at


def put_varint(value: int) -> bytes:
    """Encodes a non-negative number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put(number: int, value: bytes | int) -> bytes:
    """Encodes a field: bytes with their length, a number as a varint."""
    if isinstance(value, int):
        return put_varint(number << 3 | VARINT) + put_varint(value)
    return put_varint(number << 3 | BYTES) + put_varint(len(value)) + value
