#!/usr/bin/env bash
# Scans $DATA with $FLAGS into $REPORT; writes SARIF beside it, a summary for the run's page, and the outputs. The verdict is the next step's
# business, so that the uploads between happen whatever it is.
set -uo pipefail

mapfile -t data < <(printf '%s\n' "$DATA" | sed '/^[[:space:]]*$/d')
mapfile -t flags < <(printf '%s\n' "$FLAGS" | sed '/^[[:space:]]*$/d')

foretaste scan --no-progress --out "$REPORT" "${flags[@]}" -- "${data[@]}"
status=$?
echo "status=$status" >>"$GITHUB_OUTPUT"
if [ "$status" -eq 2 ]; then
  echo 'foretaste could not finish; see the log.' >>"$GITHUB_STEP_SUMMARY"
  exit 0
fi

set -e
foretaste export "$REPORT" --format sarif --out "$REPORT.sarif"
foretaste export "$REPORT" --format markdown >>"$GITHUB_STEP_SUMMARY"
verdict=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["verdict"])' "$REPORT/report.json")
echo "verdict=$verdict" >>"$GITHUB_OUTPUT"
