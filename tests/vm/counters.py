# SPDX-License-Identifier: GPL-2.0-or-later
"""
The kernel's tracepoints counted by perf, of the whole machine or of one process, beside what
/proc/vmstat says of the same. Nothing here is mallocpath's: no BPF, no filter by process.
"""
import contextlib
import ctypes
import fcntl
import os
import struct

TRACING = "/sys/kernel/tracing"
GROUP = "mallocpath_test"
PERF_EVENT_OPEN = 298          # of x86-64
PERF_TYPE_TRACEPOINT = 2
PERF_FLAG_FD_CLOEXEC = 8
SET_FILTER = 0x40082406        # PERF_EVENT_IOC_SET_FILTER
ORDERS = 11                    # MAX_PAGE_ORDER + 1
NO_PAGE = 0xffffffffffffffff   # "pfn" of a mm_page_alloc that got nothing
COMPACT_SKIPPED = 1            # enum compact_result
MOVABLE, FS = 0x8, 0x80        # in gfp_flags; what zram takes while it is written to may not use FS
libc = ctypes.CDLL(None, use_errno=True)


def on_cpus():
    """Numbers of the CPUs that are online."""
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        for part in file.read().strip().split(","):
            first, _, last = part.partition("-")
            yield from range(int(first), int(last or first) + 1)


class Counter:
    """One tracepoint, on every CPU or of process @pid, under a condition if there is one."""

    def __init__(self, name, condition=None, pid=None):
        with open(f"{TRACING}/events/{name}/id", encoding="ascii") as file:
            attr = struct.pack("=IIQ", PERF_TYPE_TRACEPOINT, 112, int(file.read())).ljust(112, b"\0")
        places = [(pid, -1)] if pid else [(-1, cpu) for cpu in on_cpus()]
        self.fds = [libc.syscall(PERF_EVENT_OPEN, attr, who, cpu, -1, PERF_FLAG_FD_CLOEXEC)
                    for who, cpu in places]
        if min(self.fds) < 0:
            raise OSError(ctypes.get_errno(), f"perf_event_open of {name}")
        for fd in self.fds if condition else []:
            fcntl.ioctl(fd, SET_FILTER, condition.encode() + b"\0")

    def read(self):
        return sum(struct.unpack("=Q", os.read(fd, 8))[0] for fd in self.fds)

    def close(self):
        for fd in self.fds:
            os.close(fd)


def functions(wanted):
    """Which of the functions @wanted there are."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        there = {line.split()[2] for line in file}
    return [name for name in wanted if name in there]


def tell(path, line):
    """Appends to a file of tracefs, in which one cannot seek."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, line.encode() + b"\n")
    os.close(fd)


@contextlib.contextmanager
def probes():
    """
    What no tracepoint tells: the result of try_to_compact_pages, and pages that are given many at a
    time (alloc_pages_bulk), of which mm_page_alloc tells nothing.
    """
    path = f"{TRACING}/kprobe_events"
    bulk = functions(["alloc_pages_bulk_noprof", "__alloc_pages_bulk"])[:1]
    tell(path, f"r64:{GROUP}/compacted try_to_compact_pages ret=$retval:u32")
    for name in bulk:
        tell(path, f"r64:{GROUP}/bulk {name} ret=$retval:u64")
    try:
        yield bool(bulk)
    finally:
        for name in ["compacted"] + ["bulk"] * len(bulk):
            tell(path, f"-:{GROUP}/{name}")


class Twin:
    """Unfiltered twins of what a report tells; with @pid those of that process alone."""

    def __init__(self, bulk, pid=None):
        names = {"reclaims": ("vmscan/mm_vmscan_direct_reclaim_begin", None),
                 "memcg_reclaims": ("vmscan/mm_vmscan_memcg_reclaim_begin", None),
                 "compactions": (f"{GROUP}/compacted", f"ret != {COMPACT_SKIPPED}"),
                 "tries": (f"{GROUP}/compacted", None),
                 "kswapd_wakes": ("vmscan/mm_vmscan_wakeup_kswapd", None),
                 "kswapd_runs": ("vmscan/mm_vmscan_kswapd_wake", None),
                 "given": ("kmem/mm_page_alloc",
                           f"gfp_flags & {MOVABLE} && gfp_flags & {FS} && pfn != {NO_PAGE}"),
                 "none": ("vmscan/mm_vmscan_direct_reclaim_end", "nr_reclaimed == 0")}
        for order in range(ORDERS):
            names[order] = ("kmem/mm_page_alloc", f"order == {order} && pfn != {NO_PAGE}")
        if bulk:
            names["bulk"] = (f"{GROUP}/bulk", "ret != 0")
        self.counters = {key: Counter(*of, pid=pid) for key, of in names.items()}

    def read(self):
        now = {key: counter.read() for key, counter in self.counters.items()}
        now["pages"] = sum(now.pop(order) << order for order in range(ORDERS))
        return now

    def close(self):
        for counter in self.counters.values():
            counter.close()


def vmstat():
    """Of /proc/vmstat what has a twin, under the name of that."""
    with open("/proc/vmstat", encoding="ascii") as file:
        all_of = {name: int(n) for name, n in map(str.split, file)}
    return {"reclaims": sum(n for name, n in all_of.items() if name.startswith("allocstall")),
            "compact_stall": all_of["compact_stall"], "kswapd_runs": all_of["pageoutrun"],
            "pages": sum(n for name, n in all_of.items() if name.startswith("pgalloc_")),
            "moving": sum(n for name, n in all_of.items()
                          if name.startswith(("pgscan_", "pswp", "pgmigrate", "compact_", "pageout")))}


def since(now, before):
    return {key: now[key] - before[key] for key in now}
