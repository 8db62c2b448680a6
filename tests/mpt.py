#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Trace files as docs/FORMAT.md has them, read and written without a line of the tool's.

usage: mpt.py events FILE       the events, back to back, to standard output
       mpt.py frame FILE OUT    a file of version 2 with the events of FILE
       mpt.py short FILE OUT    a file of version 1 without what was appended to events since its first
"""
import struct
import sys
import zlib

HEADER, FRAME = 32, struct.Struct("=4sBBHIIIIQQII")
MAGIC = b"MPF\n"
EVENTS, INDEX, END = 1, 2, 3
FIRST_SIZES = {6: 88, 12: 64, 32: 112}  # FAULT, EXIT, HOST
WORDS, KINDS = 16, 255
MASK = (1 << 64) - 1


def split(data):
    """Every event of @data, which is whole ones"""
    at = 0
    while at < len(data):
        size = struct.unpack_from("=H", data, at + 2)[0]
        yield data[at:at + size]
        at += size


def unpack(data):
    """Packed events to events"""
    kinds, out, at = [], bytearray(), 0
    while at < len(data):
        kind = data[at]
        at += 1
        if kind:
            words = kinds[kind - 1]
            lengths, at = data[at:at + (len(words) + 1) // 2], at + (len(words) + 1) // 2
            for i in range(len(words)):
                n = lengths[i // 2] >> 4 * (i % 2) & 15
                z = int.from_bytes(data[at:at + n], "little")
                at += n
                words[i] = words[i] + (z >> 1 if z % 2 == 0 else -(z + 1 >> 1)) & MASK
            event = struct.pack(f"={len(words)}Q", *words)
        else:
            size = struct.unpack_from("=H", data, at + 2)[0]
            event, at = data[at:at + size], at + size
            if size <= 8 * WORDS and len(kinds) < KINDS:
                kinds.append(list(struct.unpack(f"={size // 8}Q", event)))
        out += event
    return bytes(out)


def pack(events):
    kinds, heads, out = [], {}, bytearray()
    for event in split(events):
        kind = heads.get(event[:4])
        if kind is None:
            out += b"\0" + event
            if len(event) <= 8 * WORDS and len(kinds) < KINDS:
                heads[event[:4]] = len(kinds)
                kinds.append(struct.unpack(f"={len(event) // 8}Q", event))
            continue
        words = struct.unpack(f"={len(event) // 8}Q", event)
        lengths, rest = bytearray((len(words) + 1) // 2), bytearray()
        for i, (word, before) in enumerate(zip(words, kinds[kind])):
            d = word - before & MASK
            z = d << 1 if d < 1 << 63 else ((MASK - d) << 1) + 1
            n = (z.bit_length() + 7) // 8
            lengths[i // 2] |= n << 4 * (i % 2)
            rest += z.to_bytes(n, "little")
        kinds[kind] = words
        out += bytes([kind + 1]) + lengths + rest
    return bytes(out)


def frame(kind, content, method=0, events=0, times=(0, 0)):
    packed = pack(content) if method else content
    stored = zlib.compress(packed) if method else content
    head = FRAME.pack(MAGIC, kind, method, 0, len(stored), len(packed), len(content), events, *times, 0, 0)
    return head[:-4] + struct.pack("=I", zlib.crc32(stored, zlib.crc32(head[:-4]))) + stored


def events_of(data):
    """The events of a whole file, back to back; an error if a check fails"""
    magic, version, order = struct.unpack_from("=8sII", data)
    assert magic == b"MPTRACE\n" and order == 0x01020304 and version in (1, 2), "no trace"
    if version == 1:
        return data[HEADER:]
    out, at, kind = [], HEADER, None
    while at < len(data):
        (magic, kind, method, _, stored, packed, size, nr, first, last, _, crc) = FRAME.unpack_from(data, at)
        body = data[at + FRAME.size:at + FRAME.size + stored]
        assert magic == MAGIC and len(body) == stored, f"no frame at {at}"
        assert zlib.crc32(body, zlib.crc32(data[at:at + FRAME.size - 4])) == crc, f"bad CRC at {at}"
        if kind == EVENTS:
            content = body
            if method:
                content = zlib.decompress(body)
                assert len(content) == packed
                content = unpack(content)
            assert len(content) == size
            if method:  # those that are not compressed are many, and read for their events
                times = [struct.unpack_from("=Q", event, 8)[0] for event in split(content)]
                assert (len(times), min(times), max(times)) == (nr, first, last)
            out.append(content)
        at += FRAME.size + stored
    assert kind == END, "the file has no end"
    return b"".join(out)


def read_events(path):
    with open(path, "rb") as file:
        return events_of(file.read())


def framed(data, per_frame=7):
    """A file of version 2 with the events of the file @data, few in a frame"""
    events, index = list(split(events_of(data))), []
    out = data[:8] + struct.pack("=I", 2) + data[12:HEADER]
    for at in range(0, len(events), per_frame):
        some = events[at:at + per_frame]
        times = [struct.unpack_from("=Q", event, 8)[0] for event in some]
        index.append(struct.pack("=QQQII", len(out), min(times), max(times), len(some), sum(map(len, some))))
        out += frame(EVENTS, b"".join(some), at // per_frame % 2, len(some), (min(times), max(times)))
    end = struct.pack("=QQQQ", len(out), len(index), len(events), 0)
    return out + frame(INDEX, b"".join(index)) + frame(END, end)


def short(data):
    out = data[:8] + struct.pack("=I", 1) + data[12:HEADER]
    for event in split(events_of(data)):
        kind, size = struct.unpack_from("=HH", event)
        size = FIRST_SIZES.get(kind, size)
        out += struct.pack("=HH", kind, size) + event[4:size]
    return out


def main():
    with open(sys.argv[2], "rb") as file:
        data = file.read()
    if sys.argv[1] == "events":
        sys.stdout.buffer.write(events_of(data))
        return
    with open(sys.argv[3], "wb") as out:
        out.write({"frame": framed, "short": short}[sys.argv[1]](data))


if __name__ == "__main__":
    main()
