# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the history of pages in a report with the list that tests/workload/past.c keeps itself."""
import collections
import copy

Step = collections.namedtuple("Step", "what pfn who owner other")
ENDS = ("munmap", "chunk", "brk", "trim", "madv_dontneed", "reclaim", "mremap", "mmap", "exec", "exit",
        "oom_kill", "unseen", "unknown")
SHOWN = 12


def read(path):
    """The list of each address, oldest first."""
    steps = collections.defaultdict(list)
    with open(path, encoding="ascii") as file:
        for line in file:
            word, addr, what, pfn, who, owner, other = line.split()
            assert word == "past"
            steps[int(addr, 0)].append(Step(what, int(pfn), who, owner, int(other, 0)))
    return steps


def words(event):
    """fault/anon, or what it is if it was no fault."""
    return f"{event['what']}/{event['kind']}" if event["kind"] else event["what"]


def name_of(names, site):
    return names[site] if site else "null"


def matches(step, event, names):
    """Alternatives are given with |; "-" is anything."""
    who = step.who.split("|")
    return (words(event) in step.what.split("|") and
            ("-" in who or name_of(names, event["site"]) in who) and
            step.owner in ("-", name_of(names, event["owner"])) and
            (event["pfn"] or 0) == step.pfn and int(event["other"] or "0", 0) == step.other)


def spelled(event, names):
    return (f"{words(event)} pfn {event['pfn']} by {name_of(names, event['site'])} "
            f"of {name_of(names, event['owner'])} other {event['other']} fn {event['fn']}")


def compare(steps, report, end=None):
    """What differs. @end: with which word the history of what is there goes on."""
    names = {site["id"]: site["frames"][site["shown"]]["function"] for site in report["sites"]}
    rows = {int(row["addr"], 0): row for row in report["processes"][0]["pages"]}
    bad = []
    for addr, wanted in sorted(steps.items()):
        row = rows.get(addr, {"history": [], "state": "missing", "history_cut": False})
        there = wanted[-1].what not in ENDS
        if end and there:
            wanted = wanted + [Step(end, wanted[-1].pfn, "null", wanted[-1].owner, 0)]
        history = row["history"]
        if end == "exec":  # the new image may have something there
            history = history[:len(wanted)]
        if row["history_cut"]:
            bad.append(f"{addr:#x}: its history is cut off")
        if len(history) != len(wanted) or \
                not all(matches(step, event, names) for step, event in zip(wanted, history)):
            bad.append(f"{addr:#x} {row['state']}:")
            bad += [f"    is   {spelled(event, names)}" for event in history]
            bad += [f"    true {step}" for step in wanted]
        elif end != "exec" and (row["state"] == "gone") != (not there):
            bad.append(f"{addr:#x} is {row['state']}, its history ends with {wanted[-1].what}")
        if len(bad) > SHOWN * 4:
            return bad + ["... more of these"]
    return bad


def compare_sums(steps, report):
    """What the list has gone by a function of its own must be in the sums of whose pages went how."""
    names = {site["id"]: site["frames"][site["shown"]]["function"] for site in report["sites"]}
    told, wanted, sums = collections.Counter(), collections.Counter(), collections.Counter()
    for site in report["sites"]:
        for row in site.get("departed", []):
            told[names[site["id"]], row["how"], name_of(names, row["by"])] += row["bytes"]
    for page in steps.values():
        for step in page:
            if step.what in ENDS and not step.other:  # else mremap took it elsewhere
                wanted[step.owner, step.what, step.who] += 4096
                sums[step.what] += 4096
    bad = [f"{key}: {told[key]} bytes told, {wanted[key]} are on the list"
           for key in wanted if told[key] < wanted[key]]
    whole = report["processes"][0]["departed"]
    return bad + [f"{how}: {whole.get(how, 0)} bytes of the process, {number} are on the list"
                  for how, number in sums.items() if whole.get(how, 0) < number]


def wrongs(report, addr):
    """Each a way to be wrong, and the report so."""
    def change(what, edit):
        wrong = copy.deepcopy(report)
        row = next(row for row in wrong["processes"][0]["pages"] if int(row["addr"], 0) == addr)
        edit(row, row["history"])
        return what, wrong
    yield change("another frame", lambda row, past: past[0].update(pfn=past[0]["pfn"] + 1))
    yield change("another way", lambda row, past: past[-1].update(what="munmap", kind=None))
    yield change("nobody did it", lambda row, past: past[0].update(site=None))
    yield change("nobody's page", lambda row, past: past[0].update(owner=None))
    yield change("another fault", lambda row, past: past[0].update(kind="cow"))
    yield change("one event less", lambda row, past: past.pop(0))
    yield change("one event more", lambda row, past: past.append(past[0]))
    yield change("another state", lambda row, past: row.update(
        state="gone" if row["state"] != "gone" else "present"))
