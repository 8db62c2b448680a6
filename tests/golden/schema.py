#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks JSON reports against docs/report.schema.json, differences against docs/diff.schema.json, and that
none has a field it does not list.

usage: schema.py FILE...
"""
import json
import sys

import jsonschema


def closed(schema):
    """The same schema, refusing what is not listed: readers must ignore it, we must document it."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [closed(item) for item in schema]
    return schema


def validators():
    """By what a document says in "schema"."""
    found = {}
    for kind in ("report", "diff"):
        with open("docs/%s.schema.json" % kind) as f:
            schema = json.load(f)
        jsonschema.Draft202012Validator.check_schema(schema)
        found["mallocpath.%s/1" % kind] = jsonschema.Draft202012Validator(closed(schema))
    return found


def main():
    by_schema = validators()
    bad = 0
    for name in sys.argv[1:]:
        with open(name) as f:
            document = json.load(f)
        for error in by_schema[document["schema"]].iter_errors(document):
            print("%s: /%s: %s" % (name, "/".join(map(str, error.absolute_path)), error.message[:200]))
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
