#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a timeline through protoc and holds it against the JSON report of the same recording.

usage: timeline.py TIMELINE REPORT      says what is wrong, a line each, and ends with 1 then
"""
import collections
import json
import os
import re
import subprocess
import sys

PROTO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "perfetto.proto")
LIVE, RESIDENT = 4, 5  # what the number of a counter's track begins with


def decode(path):
    """The packets as nested dicts of lists; protoc names fields it does not know by number."""
    with open(path, "rb") as file:
        text = subprocess.run(["protoc", f"-I{os.path.dirname(PROTO)}", "--decode=perfetto.protos.Trace", PROTO],
                              stdin=file, stdout=subprocess.PIPE, check=True, text=True).stdout
    stack = [collections.defaultdict(list)]
    for line in text.splitlines():
        word = line.strip()
        if word.endswith("{"):
            inner = collections.defaultdict(list)
            stack[-1][word[:-2]].append(inner)
            stack.append(inner)
        elif word == "}":
            stack.pop()
        else:
            key, value = word.split(": ", 1)
            stack[-1][key].append(value.strip('"') if value[0] == '"' else value)
    return stack[0]["packet"]


class Timeline:
    def __init__(self, packets):
        self.wrong = []
        self.names, self.keys, self.strings = {}, {}, {}
        self.tracks = {0: None}
        self.events = collections.defaultdict(list)  # by track: (time, type, name, notes, counter)
        for packet in packets:
            self.take(packet)

    def take(self, packet):
        for unknown in (key for key in packet if key[0].isdigit()):
            self.wrong.append(f"a packet has a field {unknown}")
        for data in packet["interned_data"]:
            for field, names, key in (("event_names", self.names, "name"), ("debug_annotation_names", self.keys, "name"),
                                      ("debug_annotation_string_values", self.strings, "str")):
                for entry in data[field]:
                    names[entry["iid"][0]] = entry[key][0]
        for track in packet["track_descriptor"]:
            self.tracks[int(track["uuid"][0])] = track
        for event in packet["track_event"]:
            track = int((event["track_uuid"] or ["0"])[0])
            if track not in self.tracks:
                self.wrong.append(f"an event on track {track:#x}, which was not told of")
            notes = {self.keys[note["name_iid"][0]]:
                     self.strings[note["string_value_iid"][0]] if note["string_value_iid"]
                     else int((note["uint_value"] or note["pointer_value"])[0])
                     for note in event["debug_annotations"]}
            self.events[track].append((int(packet["timestamp"][0]), event["type"][0],
                                       self.names[event["name_iid"][0]] if event["name_iid"] else None, notes,
                                       int((event["counter_value"] or ["0"])[0])))

    def slices(self):
        """Each slice as (name, notes, depth); those that do not nest, or never end, are wrong"""
        for track, events in self.events.items():
            events.sort(key=lambda event: event[0])  # stable: as Perfetto does
            open_slices = []
            for _, kind, name, notes, _ in events:
                if kind == "TYPE_SLICE_BEGIN":
                    open_slices.append((name, notes))
                elif kind == "TYPE_INSTANT":
                    yield name, notes, len(open_slices)
                elif kind == "TYPE_SLICE_END":
                    if not open_slices:
                        self.wrong.append(f"track {track:#x}: an end without a beginning")
                        continue
                    begun = open_slices.pop()
                    yield begun[0], begun[1], len(open_slices)
            if open_slices:
                self.wrong.append(f"track {track:#x}: {len(open_slices)} slices without an end")

    def last(self, kind, pid):
        return self.events[kind << 32 | pid][-1][4]


def main():
    timeline = Timeline(decode(sys.argv[1]))
    with open(sys.argv[2], encoding="utf-8") as file:
        report = json.load(file)
    faults, owners, allocated = collections.Counter(), collections.Counter(), 0
    for name, notes, depth in timeline.slices():
        if name.startswith("fault "):
            faults[name[6:]] += 1
            owners[notes.get("memory of")] += 1
            if "address" not in notes:
                timeline.wrong.append("a fault without an address")
        elif name == "page allocation":
            allocated += 1
            if not depth:
                timeline.wrong.append("a page allocation outside of its fault")
    told = collections.Counter()
    for site in report["sites"]:
        told.update({kind: n for kind, n in site["faults"].items() if n})
    # faults of memory that is nobody's are in no site
    for kind, n in told.items():
        if not faults[kind] >= n > 0:
            timeline.wrong.append(f"{faults[kind]} slices of faults {kind}, {n} in the report's sites")
    if not sum(told.values()) or re.search(r"\d", "".join(faults)):
        timeline.wrong.append(f"faults: {dict(faults)}")
    for process in report["processes"]:
        live = sum(block["requested"] or block["usable"] or 0 for block in process["blocks"])
        if timeline.last(LIVE, process["pid"]) != live:
            timeline.wrong.append(f"live bytes end at {timeline.last(LIVE, process['pid'])}, blocks have {live}")
        highest = max(event[4] for event in timeline.events[LIVE << 32 | process["pid"]])
        if "--falls" in sys.argv and highest <= live:
            timeline.wrong.append(f"live bytes were never more than {highest}, at the end they are {live}")
        if timeline.last(RESIDENT, process["pid"]) != 4096 * process["present_pages"]:
            timeline.wrong.append(f"anonymous Rss ends at {timeline.last(RESIDENT, process['pid'])}")
    print("\n".join(timeline.wrong))
    print(f"# {sum(faults.values())} faults, {allocated} page allocations, {len(timeline.tracks)} tracks",
          file=sys.stderr)
    sys.exit(1 if timeline.wrong or not sum(faults.values()) else 0)


if __name__ == "__main__":
    main()
