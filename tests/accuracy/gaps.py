# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a row of the fault stage cannot know: the table of docs/ROWS.md. A gap is named for a row, or for
a kernel by what it is asked for, never by its release. A report must have exactly these gaps.
"""
import collections
import functools
import os
import re

import harness

HOOKING = ("fentry", "kprobe")  # rows that hook functions
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOC = os.path.join(TOP, "docs/ROWS.md")

Gap = collections.namedtuple("Gap", "name text here missing")


@functools.lru_cache(None)
def function_traceable(name):
    """Can the function tracer, and so fentry, reach @name?"""
    try:
        with open(f"{harness.tracefs()}/available_filter_functions", encoding="ascii") as file:
            return any(line.split()[0] == name for line in file)
    except OSError:  # the kernel has no function tracer, or does not let it be read
        return False


@functools.lru_cache(None)
def refill_told():
    """Does the page allocator's tracepoint tell a refill of a CPU's list from an allocation?"""
    tracepoint = f"{harness.tracefs()}/events/kmem/mm_page_alloc_zone_locked"
    with open(f"{tracepoint}/format", encoding="ascii") as file:
        return "field:int percpu_refill;" in file.read()


def lacking(row):
    """Why this kernel has no such row; None if it has it."""
    if row == "kprobe" and not os.path.exists("/sys/bus/event_source/devices/kprobe"):
        return "the kernel has no kprobes"
    if row == "fentry" and not function_traceable("handle_mm_fault"):
        return "the kernel does not let functions be traced"
    return None


def first():
    """The row that is chosen where none is asked for."""
    return next((row for row in HOOKING if not lacking(row)), "tracepoint")


def asked():
    """The rows that a test in a machine goes through: all with FULL, else the one that is chosen there."""
    return [*HOOKING, "tracepoint"] if os.environ.get("FULL") else [first()]


def never_told(*fields):
    """True of a report in which no site has any of @fields of its page allocations."""
    def missing(report):
        return all(site["page_alloc"][field] is None for site in report["sites"]
                   for field in fields)
    return missing


def filled_by_walk(report):
    """Zero pages come so in every row: splitting a folio puts them under its empty pages."""
    return any(page["source"] == "populate" and page["state"] != "zero"
               for process in report["processes"] for page in process["pages"])


def read_back(report):
    return report["loss"]["moved_unseen_pages"] > 0


# Of what the kernel does to pages on its own; seen only where it does so.
MOVES = [
    Gap("moves", "swapping out, migration and the collapse of small pages into a huge one are not "
        "seen: they are found when pagemap is read back, and counted as moved_unseen_pages; whether "
        "such a page is shared is not known then",
        lambda row: row == "tracepoint", read_back),
]
GAPS = [
    Gap("gup", "a fault that get_user_pages takes (MAP_POPULATE, mlock) is not seen: its page is "
        "read from the page table when the system call returns",
        lambda row: row == "tracepoint", filled_by_walk),
    Gap("page time", "how much of a fault's time the page allocator took is not known",
        lambda row: row == "tracepoint", never_told("page_ns", "rest_ns")),
    Gap("slow path", "whether the page allocator went its slow path is not known",
        lambda row: row == "tracepoint", never_told("slow")),
    Gap("compaction", "what faults spend on compacting memory is not known",
        lambda row: row == "tracepoint", never_told("compactions", "compact_ns")),
    Gap("stages", "whether a page came from the CPU's list, a refill of it, or the buddy lists is "
        "not known", lambda row: not refill_told(), never_told("pcp", "refill", "buddy")),
]


def others_skipped(row):
    """Does programs_skipped count what was skipped of faults of other processes too (docs/ROWS.md)?"""
    if row != "kprobe":
        return False
    try:
        with open(f"{harness.debugfs()}/sched/preempt", encoding="ascii") as file:
            return re.search(r"\((full|lazy)\)", file.read()) is not None
    except FileNotFoundError:
        return False


def end_told_too_soon(row):
    """Is a process's end told by its first thread that asks for it? Later threads may touch more."""
    tracepoint = f"{harness.tracefs()}/events/sched/sched_process_exit"
    with open(f"{tracepoint}/format", encoding="ascii") as file:
        # the field came with the tracepoint's new place, before the address space goes
        return row not in HOOKING and "group_dead" not in file.read()


def images_told(row):
    """Is the last instant of an image that an exec replaces told?"""
    return row in HOOKING or os.path.exists(
        f"{harness.tracefs()}/events/sched/sched_prepare_exec")


def named(name, row):
    return next(gap for gap in GAPS + MOVES if gap.name == name).here(row)


def compare(report, gaps=tuple(GAPS)):
    """What differs between the gaps that are named for this row and those the report has."""
    row, bad = report["host"]["fault_source"], []
    for gap in gaps:
        if gap.here(row) and not gap.missing(report):
            bad.append(f"gap {gap.name}: named for {row}, but it is known now")
        if not gap.here(row) and gap.missing(report):
            bad.append(f"gap {gap.name}: not named for {row}: {gap.text}")
    return bad


def undocumented():
    """The gaps that docs/ROWS.md does not have, word by word, and the rows it has beyond them."""
    with open(DOC, encoding="utf-8") as file:
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")]
                for line in file if line.startswith("| ")]
    told = {row[0]: row[1] for row in rows if len(row) == 3 and row[0] != "gap"}
    ours = {gap.name: gap.text for gap in GAPS + MOVES}
    return [name for name in told.keys() | ours.keys()
            if re.sub(r"[`*]", "", told.get(name, "")) != ours.get(name)]
