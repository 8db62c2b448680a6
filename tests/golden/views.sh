#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The views that other programs read, against what those programs and other parsers make of them: see
# views.py. Speaks TAP.
set -euo pipefail

cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -B tests/golden/make.py "$work"
MALLOCPATH=${MALLOCPATH:-build/mallocpath} python3 -B tests/golden/views.py "$work"
