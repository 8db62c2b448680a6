# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles as protoc decodes them by the published profile.proto, and as `go tool pprof` reads them."""
import ast
import gzip
import os
import re
import shutil
import subprocess

PROTO = "/usr/share/gocode/src/github.com/google/pprof/proto/profile.proto"
TYPES = ("alloc_objects count, alloc_space bytes, inuse_objects count, inuse_space bytes, resident_space bytes, "
         "untouched_space bytes, charged_space bytes, faults count, fault_time nanoseconds")


def no_protoc():
    """Why nothing can be decoded; None: it can."""
    if not shutil.which("protoc"):
        return "protoc is not installed (protobuf-compiler)"
    return None if os.path.exists(PROTO) else "profile.proto is not installed (golang-github-google-pprof-dev)"


def no_go():
    return None if shutil.which("go") else "go is not installed (golang-go)"


def parse_text(lines):
    """A message of protoc's text: field: list of values; consumes the lines up to its closing brace."""
    message = {}
    for line in lines:
        line = line.strip()
        if line == "}":
            break
        if line.endswith("{"):
            message.setdefault(line[:-1].strip(), []).append(parse_text(lines))
            continue
        field, value = line.split(": ", 1)
        value = ast.literal_eval("b" + value).decode() if value[0] == '"' else value == "true" or ast.literal_eval(
            value.replace("false", "0"))
        message.setdefault(field, []).append(value)
    return message


def decode(path):
    with gzip.open(path) as f:
        content = f.read()
    text = subprocess.run(["protoc", "--proto_path", os.path.dirname(PROTO), "--decode=perftools.profiles.Profile",
                           os.path.basename(PROTO)], input=content, capture_output=True, check=True)
    if text.stderr:
        raise AssertionError(text.stderr.decode())
    # 1: of a field that it does not know protoc prints the number
    if re.search(rb"^\s*[0-9]+[:{ ]", text.stdout, re.M):
        raise AssertionError("fields that the published format has not")
    return Profile(parse_text(iter(text.stdout.decode().splitlines())))


def one(message, field, default=0):
    values = message.get(field, [default])
    assert len(values) == 1, (field, values)
    return values[0]


class Profile:
    """Its references resolved; what does not resolve raises."""

    def __init__(self, message):
        self.strings = message["string_table"]
        assert self.strings[0] == "" and len(set(self.strings)) == len(self.strings)
        self.mappings = self.by_id(message.get("mapping", []))
        self.functions = self.by_id(message.get("function", []))
        self.locations = self.by_id(message.get("location", []))
        self.types = ["%s %s" % (self.string(t, "type"), self.string(t, "unit")) for t in message["sample_type"]]
        self.default = self.string(message, "default_sample_type")
        self.samples = [(s["location_id"], s["value"]) for s in message.get("sample", [])]
        assert all(len(values) == len(self.types) for _, values in self.samples)
        labels = [one(s, "label") for s in message.get("sample", [])]
        assert all(self.string(label, "key") == "kind" for label in labels)
        self.kinds = [self.string(label, "str") for label in labels]

    @staticmethod
    def by_id(messages):
        found = {one(m, "id"): m for m in messages}
        assert 0 not in found and len(found) == len(messages)
        return found

    def string(self, message, field):
        return self.strings[one(message, field)]

    def names(self, ident):
        """Of the location, outermost first."""
        location = self.locations[ident]
        lines = location.get("line", [])
        if lines:
            return [self.string(self.functions[one(line, "function_id")], "name") for line in reversed(lines)]
        address = one(location, "address")
        mapping = self.mappings.get(one(location, "mapping_id"))
        if not mapping:
            return ["%#x" % (address + 1)]
        assert one(mapping, "memory_start") <= address < one(mapping, "memory_limit")
        offset = address + 1 - one(mapping, "memory_start") + one(mapping, "file_offset")
        return ["%s+%#x" % (os.path.basename(self.string(mapping, "filename")), offset)]

    def folded(self, kind):
        """As the view fold writes it."""
        at = [t.split()[0] for t in self.types].index(kind)
        stacks = {}
        for (idents, values), memory in zip(self.samples, self.kinds):
            stack = ";".join(n.replace(";", ":").replace(" ", "_") for i in reversed(idents) for n in self.names(i))
            stack += ";(mmap)" if memory == "mmap" else ""
            if values[at]:
                stacks[stack] = stacks.get(stack, 0) + values[at]
        return stacks

    def sums(self):
        return [sum(column) for column in zip(*(values for _, values in self.samples))] or [0] * len(self.types)


def sums_of_go(path, work):
    """Type: sum, and the one it shows first, as `go tool pprof` has them."""
    done = subprocess.run(["go", "tool", "pprof", "-symbolize=none", "-raw", path], capture_output=True, check=False,
                          env={**os.environ, "HOME": work, "PPROF_TMPDIR": work, "GOFLAGS": "-mod=mod"})
    if done.returncode:
        raise AssertionError(done.stderr.decode())
    lines = done.stdout.decode().split("\n")
    start = lines.index("Samples:")
    types = [t.replace("[dflt]", "") for t in lines[start + 1].split()]
    default = [t.split("/")[0] for t in lines[start + 1].split() if t.endswith("[dflt]")]
    sums = [0] * len(types)
    for line in lines[start + 2:lines.index("Locations")]:
        if re.fullmatch(r" +kind:\[(malloc|mmap)\]", line):
            continue
        numbers = re.fullmatch(r"((?: *[0-9]+)+):[0-9 ]*", line)
        for i, n in enumerate(numbers[1].split()):
            sums[i] += int(n)
    return {t.replace("/", " "): n for t, n in zip(types, sums)}, default
