#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mallocpath diff: traces whose difference is known, see diff.py. Speaks TAP.
set -euo pipefail

cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -B tests/golden/make.py "$work"
MALLOCPATH=${MALLOCPATH:-build/mallocpath} python3 -B tests/golden/diff.py "$work"
