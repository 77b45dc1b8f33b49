# shellcheck shell=bash
# Sourced by scripts/up, scripts/test and scripts/bench, in the project's directory.

# find_python: sets $python to a Python that is new enough, or ends the script.
find_python() {
  for python in python3 python3.14 python3.13 python3.12 python3.11 none; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
  done
  [ "$python" != none ] && return
  echo "$0: Python 3.11 or newer is needed, and none is on the PATH (Debian 12: apt install python3 python3-venv)" >&2
  exit 2
}

# install_into_venv <what>: makes .venv with $python if there is none, and installs "." (the service) or
# ".[test]" (and what its tests need) into it, unless that is already there.
install_into_venv() {
  local what=$1 dependencies
  # One installation at a time in one clone; the lock is on a file that is here anyway, and ends with the
  # descriptor. Python takes it, because macOS has no program for it.
  exec 9<setup.cfg
  "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
  dependencies=$(cat setup.cfg pyproject.toml | cksum)
  if ! installed "$what" "$dependencies"; then
    make_venv
    .venv/bin/python -m pip install --disable-pip-version-check -e "$what"
    echo "$dependencies $what" > .venv/installed-for
  fi
  exec 9<&-
}

# installed <what> <dependencies>: the tests' installation includes the service's.
installed() {
  case $(cat .venv/installed-for 2>/dev/null) in
    "$2 $1" | "$2 .[test]") return 0 ;;
    *) return 1 ;;
  esac
}

make_venv() {
  .venv/bin/python -c '' 2>/dev/null && return
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$0: $python cannot make a virtual environment; run: apt install python$version-venv" >&2
    exit 2
  fi
  echo "making .venv with $("$python" --version) ..." >&2
  "$python" -m venv --clear .venv
}
