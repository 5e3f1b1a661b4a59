#!/usr/bin/env bash
# Runs parts of the checks, each a target of the Makefile, and goes on when one fails. It ends with the slowest tests, the
# time of each part, what was skipped and what failed. A part that should run tests and ran none has failed.
#
#	MAKE=make REPORTS=dir GOTESTSUM=gotestsum test/parts.sh lint unit
set -uo pipefail

mkdir -p "$REPORTS"
rm -f "$REPORTS"/*.json "$REPORTS"/*.not-run
times=() failed=() passed=()
for part in "$@"; do
	echo "== $part"
	began=$SECONDS verdict=passed events=$REPORTS/$part.json
	if ! "$MAKE" --no-print-directory "$part"; then
		verdict=failed
	elif [ -e "$events" ] && ! grep -q '"Action":"pass".*"Test":' "$events"; then
		verdict="failed: it ran no test"
	fi
	[ ! -e "$REPORTS/$part.not-run" ] || verdict="not run"
	case $verdict in
	passed) passed+=("$part") ;;
	"not run") ;;
	*) failed+=("$part") ;;
	esac
	times+=("$(printf '%-10s %5ds  %s' "$part" $((SECONDS - began)) "$verdict")")
done

events=("$REPORTS"/*.json)
if [ -e "${events[0]}" ]; then
	echo "== slowest tests"
	cat "${events[@]}" | "$GOTESTSUM" tool slowest --num 10 | sed 's,^github.com/eks-recycle/eks-recycle/,,'
	skipped=$(sed -n '/"Action":"skip"/s/.*"Test":"\([^"]*\)".*/\1/p' "${events[@]}")
	[ -z "$skipped" ] || printf '== skipped\n%s\n' "$skipped"
fi
for file in "$REPORTS"/*.not-run; do
	[ ! -e "$file" ] || { echo "== not run: $(basename "$file" .not-run)" && cat "$file"; }
done
echo "== time of each part"
printf '%s\n' "${times[@]}"
if [ ${#failed[@]} -gt 0 ]; then
	echo "failed: ${failed[*]}" >&2
	exit 1
fi
echo "passed: ${passed[*]}"
