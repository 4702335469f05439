#!/bin/sh
# Finds a Python (installing it when it is missing and that is allowed), then hands over to scripts/bootstrap.
set -eu
cd "$(dirname "$0")/.."

if ! command -v python3 >/dev/null 2>&1; then
  root=""
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then root="sudo -n"; else root="no"; fi
  fi
  if [ "$root" = "no" ] || [ -n "${SANDERLING_NO_APT:-}" ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: expected python3, found none and may not install it; as root run: apt-get install python3 python3-venv python3-dev" >&2
    exit 1
  fi
  echo "setup: installing python3 (apt)"
  $root apt-get -qq update
  $root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3 python3-venv python3-dev
fi

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  echo "setup: expected Python 3.10 or newer as python3, found $(python3 --version 2>&1); put a newer python3 first on PATH" >&2
  exit 1
fi

exec python3 scripts/bootstrap "$@"
