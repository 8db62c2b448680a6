# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Helpers of the scripts; sourced, from the top of the tree.

# tracked PATTERN...: the tree's files that match, whoever owns the tree, and without git too
tracked()
{
	local pattern
	if git -c safe.directory="$PWD" rev-parse --git-dir >/dev/null 2>&1; then
		git -c safe.directory="$PWD" ls-files -- "$@" | while read -r pattern; do
			[[ ! -f $pattern ]] || echo "$pattern"
		done
		return
	fi
	for pattern in "$@"; do
		if [[ $pattern == */* ]]; then
			find "${pattern%%/*}" -type f -path "$pattern"
		else
			find . -path ./build -prune -o -type f -name "$pattern" -printf '%P\n'
		fi
	done | sort -u
}

# tap_counts LOG STATUS: "pass|fail PASSED FAILED SKIPPED", the counts aligned for the summary.
# Fails on: a failed test, a skip without a reason, fewer or more tests than planned, no test at
# all, a status that is not 0. What does not add up is said on stderr.
tap_counts()
{
	awk -v status="$2" '
	/^1\.\.[0-9]+/ { split($1, plan, /\.\./); planned += plan[2]; plans++ }
	/^not ok/ { failed++; if (/^not ok [0-9]/) seen++; next }
	/^ok/ {
		seen++
		at = match(tolower($0), /# *skip/)
		if (!at) { passed++; next }
		# cmocka has no reason to give: it prints the name of the test after the word
		reason = substr($0, at + RLENGTH)
		gsub(/[ \t()]/, "", reason)
		if (reason == "" || /^ok [0-9]+ # SKIP/) failed++
		else skipped++
	}
	END {
		if (!plans || planned != seen || (status != 0 && !failed)) {
			printf "# counted: %d of %d planned tests, exit status %d\n", seen, planned,
				status >"/dev/stderr"
			failed++
		}
		if (passed + failed + skipped == 0) failed = 1
		printf "%s %8d %8d %8d\n", failed ? "fail" : "pass", passed, failed, skipped
	}' "$1"
}
