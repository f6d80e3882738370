# shellcheck shell=bash
# What the journeys share: a fresh virtual environment with the package, and steps whose seconds are told.
#
# Each journey takes what pip shall install: this checkout when nothing is given, or a wheel.
#   PYTHON=python3.12              the interpreter of the environment; python3 by default
#   JOURNEY_WHEELS=FOLDER          packages come from this folder alone, not from a registry
#   JOURNEY_OUT=FOLDER             where the journey writes; a folder that is removed at the end by default
#   JOURNEY_LIMIT_S=300            what a whole journey may take

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PACKAGE=${1:-$ROOT}
NAME=$(basename "$0" .sh)
LIMIT_S=${JOURNEY_LIMIT_S:-300}
TIMES=()

case $PACKAGE in *.whl) PACKAGE=$(realpath "$PACKAGE") ;; esac
if [ -n "${JOURNEY_WHEELS:-}" ]; then JOURNEY_WHEELS=$(realpath "$JOURNEY_WHEELS"); fi
if [ -n "${JOURNEY_OUT:-}" ]; then
  mkdir -p "$JOURNEY_OUT"
  WORK=$(mktemp -d "$(realpath "$JOURNEY_OUT")/$NAME.XXXXXX")
else
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
fi
# Nothing of the caller's Python reaches the journey, and nothing of the checkout but constraints.txt.
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV HANNAH_HW_PATH
export PIP_DISABLE_PIP_VERSION_CHECK=1
cd "$WORK"
PATH=$WORK/venv/bin:$PATH
STARTED=$(date +%s%N)

seconds_since() { awk -v a="$1" -v b="$(date +%s%N)" 'BEGIN { printf "%.1f", (b - a) / 1e9 }'; }

# step WHAT COMMAND...: says and runs the command, and keeps its seconds under that name.
step() {
  local what=$1 began code=0
  shift
  printf '\n== %s\n$ %s\n' "$what" "$*"
  began=$(date +%s%N)
  "$@" || code=$?
  TIMES+=("$(seconds_since "$began") $what")
  if [ "$code" -ne 0 ]; then fail "'$what' ended with exit code $code: $*"; fi
}

# fails_with CODE TEXT COMMAND...: the command has to end with this exit code and a message that holds the text.
fails_with() {
  local code=$1 text=$2 said got=0
  shift 2
  said=$("$@" 2>&1) || got=$?
  echo "$said"
  [ "$got" -eq "$code" ] || fail "exit code $got instead of $code: $*"
  case $said in *"$text"*) ;; *) fail "no '$text' in what it said: $*" ;; esac
}

# expect WHAT COMMAND...: a result that has to hold.
expect() {
  local what=$1
  shift
  "$@" >/dev/null || fail "not so: $what"
  echo "ok: $what"
}

fail() {
  echo "$NAME: $1 (in $WORK)" >&2
  exit 1
}

# install EXTRAS: a virtual environment with the package, extras as pip takes them, such as "[all]", or "".
install() {
  local from=()
  if [ -n "${JOURNEY_WHEELS:-}" ]; then from=(--no-index --find-links "$JOURNEY_WHEELS"); fi
  step "virtual environment" "${PYTHON:-python3}" -m venv venv
  step "pip install" venv/bin/python -m pip install --quiet --no-compile ${from[@]+"${from[@]}"} \
    --constraint "$ROOT/constraints.txt" "$PACKAGE$1"
  expect "the package is the installed one" venv/bin/python -c \
    'import hannah_hw, sys; sys.exit(not hannah_hw.__file__.startswith(sys.prefix))'
}

# finish: the seconds of each step and of all.
finish() {
  local all row
  all=$(seconds_since "$STARTED")
  printf '\n%s, seconds by step\n' "$NAME"
  for row in "${TIMES[@]}"; do printf '%8s  %s\n' "${row%% *}" "${row#* }"; done
  printf '%8s  all, of %s allowed\n' "$all" "$LIMIT_S"
  if awk -v a="$all" -v b="$LIMIT_S" 'BEGIN { exit !(a > b) }'; then fail "took $all s, more than $LIMIT_S s"; fi
}
