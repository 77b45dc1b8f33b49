# shellcheck shell=bash
# Sourced by the operator's scripts, in the project's directory.

# run_installed <module> <arguments>: becomes that module, in .venv or where the service is installed.
run_installed() {
  local module=$1 python
  shift
  for python in .venv/bin/python python3; do
    "$python" -c "import $module" 2>/dev/null && exec "$python" -m "$module" "$@"
  done
  echo "$0: the service is not installed here; run ./scripts/up once, or: python3 -m pip install ." >&2
  exit 2
}
