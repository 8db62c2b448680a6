# SPDX-License-Identifier: GPL-2.0-or-later
"""
The views that other programs read: each is read by a parser that is not ours, or by one written here from
the format's grammar, and what it holds is compared with the JSON view of the same file.

usage: views.py DIRECTORY    with the traces of make.py
"""
import csv
import json
import os
import re
import subprocess
import sys

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
import harness  # noqa: E402
from hostile import NAMES, hostile  # noqa: E402

TOOL = os.environ["MALLOCPATH"]
METRICS = "resident charged live untouched faults fault-ns calls".split()
FIELDS = {"resident": "resident_bytes", "charged": "charged_bytes", "live": "live_bytes",
          "untouched": "untouched_bytes", "fault-ns": "fault_ns", "calls": "calls"}


def run(*args):
    """stdout, of a run that must end with 0 and say nothing on stderr"""
    done = subprocess.run([TOOL, *args], capture_output=True, check=False)
    if done.returncode or done.stderr:
        raise AssertionError(f"{args}: status {done.returncode}, {done.stderr.decode()}")
    return done.stdout


def of_site(site, metric):
    if metric == "faults":
        return sum(site["faults"].values())
    return site[FIELDS[metric]] or 0


def unknown_resident(report):
    """What the books' blocks have beyond the sites'."""
    books = sum(p["books"]["block_bytes"] for p in report["processes"])
    return books - sum(s["resident_bytes"] for s in report["sites"] if s["kind"] != "mmap")


def total(report, metric):
    more = unknown_resident(report) if metric == "resident" else 0
    return sum(of_site(s, metric) for s in report["sites"]) + more


# ---- fold ----------------------------------------------------------------------------------------


def parse_folded(text):
    """Stack: number. The grammar: frames with semicolons between, one space, a number, a line feed."""
    stacks = {}
    if text and not text.endswith("\n"):
        raise AssertionError("the last line does not end")
    for line in text.split("\n")[:-1]:
        match = re.fullmatch(r"([^;\s]+(?:;[^;\s]+)*) ([1-9][0-9]*)", line)
        if not match or re.search(r"[\x00-\x1f\x7f]", line):
            raise AssertionError(f"not a folded stack: {line!r}")
        if match[1] in stacks:
            raise AssertionError(f"told twice: {line!r}")
        stacks[match[1]] = int(match[2])
    return stacks


def frame_name(frame):
    if frame["function"]:
        return frame["function"]
    if frame["object"]:
        return "%s+%#x" % (os.path.basename(frame["object"]), frame["offset"])
    return frame["addr"]


def folded_by_json(report, metric):
    """The same from the JSON view."""
    stacks = {}
    for site in report["sites"]:
        names = [frame_name(f) for f in reversed(site["frames"])]
        if site["stack_end"] != "whole":
            names.insert(0, "(ends:_%s)" % (site["stack_end"] or "caller_only"))
        if site["kind"] == "mmap":
            names.append("(mmap)")
        number = of_site(site, metric)
        if number:
            stacks[";".join(names)] = stacks.get(";".join(names), 0) + number
    if metric == "resident" and unknown_resident(report):
        stacks["(unknown)"] = unknown_resident(report)
    return stacks


def test_fold(tap, name, trace, report):
    for metric in METRICS:
        stacks = parse_folded(run("report", trace, "--view", "fold", "--metric", metric).decode())
        expected = folded_by_json(report, metric)
        tap.check(sum(stacks.values()) == total(report, metric), f"{name}: fold {metric}: total as in json",
                  [sum(stacks.values()), total(report, metric)])
        if name != "hostile":
            tap.check(stacks == expected, f"{name}: fold {metric}: the stacks of json", [stacks, expected])


# ---- csv -----------------------------------------------------------------------------------------


def test_csv(tap, name, trace, report):
    content = run("report", trace, "--view", "csv").decode()
    tap.check(content.count("\n") == content.count("\r\n") == content.count("\r"), f"{name}: csv: lines end with CRLF")
    rows = list(csv.DictReader(content.splitlines(True), strict=True))
    tap.check(all(None not in r and None not in r.values() for r in rows), f"{name}: csv: no row is short or long")
    sites = {str(s["id"]): s for s in report["sites"]}
    columns = [c for c in rows[0] if c.endswith("_bytes") or c in ("calls", "frees", "failed", "live_blocks",
                                                                    "fault_ns", "timed_faults")] if rows else []
    wrong = []
    for row in rows:
        site = sites.pop(row["id"], None)
        for column in columns if site else ():
            wrong += [] if row[column] == ("" if site[column] is None else str(site[column])) else [(row, column)]
        for kind, n in site["faults"].items() if site else ():
            wrong += [] if row["faults_" + kind] == str(n) else [(row, kind)]
        if site:
            wrong += [] if row["faults"] == str(of_site(site, "faults")) else [(row, "faults")]
    tap.check(not wrong, f"{name}: csv: each site's numbers are those of json", wrong)
    left_out = [s for s in sites.values() if s["calls"] or any(of_site(s, m) for m in METRICS)]
    tap.check(not left_out, f"{name}: csv: no site that has anything is left out", left_out)
    tap.check(sum(int(r["resident_bytes"]) for r in rows) == total(report, "resident"),
              f"{name}: csv: resident bytes in all as in json")
    order = [int(r["resident_bytes"]) for r in rows if r["id"] != "0"]
    tap.check(order == sorted(order, reverse=True), f"{name}: csv: largest first")


def test_hostile_text(tap, trace):
    lines = run("report", trace, "--view", "fold").decode().splitlines()
    tap.check(len(lines) == len(NAMES) and all(line.endswith(" 4080") for line in lines),
              "hostile: fold: a line for each name, with its number", lines)
    tap.check(any(line.split(";")[-1].startswith("a:b_c_12 ") for line in lines),
              "hostile: fold: semicolon and space are made safe", lines)
    rows = list(csv.DictReader(run("report", trace, "--view", "csv").decode().splitlines(True), strict=True))
    functions = [r["function"] for r in rows]
    tap.check(len(rows) == len(NAMES) and 'comma, "quotes", ""more""' in functions,
              "hostile: csv: quotes and commas come back", functions)
    tap.check("'=HYPERLINK(\"http://x\",\"y\")" in functions and not any(f[:1] in "=+-@" for f in functions),
              "hostile: csv: no name is a formula", functions)


def attempt(tap, test, *args):
    """What a parser refuses fails the test, and the others go on."""
    try:
        test(tap, *args)
    except Exception as problem:  # pylint: disable=broad-except
        tap.check(False, f"{test.__name__} {args[0]}", f"{type(problem).__name__}: {problem}")


def main():
    tap = harness.Tap()
    work = sys.argv[1]
    with open(os.path.join(work, "hostile.mpt"), "wb") as f:
        f.write(hostile(work))
    for name in sorted(n[:-4] for n in os.listdir(work) if n.endswith(".mpt")):
        trace = os.path.join(work, name + ".mpt")
        report = json.loads(run("report", trace, "--view", "json"))
        for test in (test_fold, test_csv):
            attempt(tap, test, name, trace, report)
    attempt(tap, test_hostile_text, os.path.join(work, "hostile.mpt"))
    tap.end()


if __name__ == "__main__":
    main()
