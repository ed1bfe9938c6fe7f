#!/bin/sh
# usage: tools/setup.sh EXTRA
# Makes .venv hold rollbuild and its extra EXTRA (demo, test). Does nothing when that is so already.
# PYTHON names the Python to use; without it the newest of python3.13, 3.12, 3.11 and python3 that fits.
set -eu

extra=$1
cd "$(dirname "$0")/.."
PATH=${PATH:-/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin}
export PATH

# The folder is part of the stamp because a .venv works only where it was made.
ready="$(pwd) $(cksum <pyproject.toml)"
for done in "$extra" test; do
    if [ "$(cat ".venv/.ready-$done" 2>/dev/null)" = "$ready" ] && .venv/bin/python -c '' 2>/dev/null; then
        exit 0
    fi
done

say() {
    printf 'setup: %s\n' "$*" >&2
}

fits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if fits "$name"; then
            command -v "$name"
            return
        fi
    done
    return 1
}

install_packages() {
    say "installing with $1: $2"
    # shellcheck disable=SC2086  # a list of package names
    case $1 in
    apt-get)
        DEBIAN_FRONTEND=noninteractive
        export DEBIAN_FRONTEND
        apt-get update -q && apt-get install -qy --no-install-recommends $2
        ;;
    dnf)
        dnf install -qy $2
        ;;
    esac >&2
}

# EL9's own python3 is 3.9 and EL10 has no python3.11, so try what fits one and then the other.
packages_to_try() {
    case $1 in
    apt-get) echo "python3 python3-venv" ;;
    dnf)
        printf '%s\n' "python3.12 python3.12-pip" "python3 python3-pip" "python3.11 python3.11-pip"
        ;;
    esac
}

if ! python=$(find_python); then
    if [ -n "${PYTHON:-}" ]; then
        say "error: $PYTHON is not a Python 3.11 or newer with the modules venv and ensurepip"
        exit 3
    fi
    manager=$(command -v apt-get || command -v dnf || true)
    manager=${manager##*/}
    wanted=$(packages_to_try "$manager")
    if [ -z "$manager" ] || [ "$(id -u)" != 0 ]; then
        say "error: no Python 3.11 or newer with the modules venv and ensurepip was found"
        first=$(printf '%s\n' "${wanted:-python3 (3.11 or newer) with its venv module}" | head -n 1)
        say "hint: install $first${manager:+ (as root: $manager install $first)}, or name one: make PYTHON=/path/to/python3"
        exit 3
    fi
    say "no Python 3.11 or newer with the modules venv and ensurepip was found"
    if ! python=$(
        printf '%s\n' "$wanted" | while read -r packages; do
            if install_packages "$manager" "$packages" </dev/null && find_python; then
                break
            fi
        done | grep .
    ); then
        say "error: $manager could not install a Python 3.11 or newer; install one and name it: make PYTHON=..."
        exit 3
    fi
fi

# A .venv that was copied from elsewhere, half made, or whose Python has gone is of no use.
here=$(pwd -P)/.venv
if ! grep -qsF "$here/bin/python" .venv/bin/pip ||
    ! .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "making .venv with $python ($("$python" -V 2>&1))"
    rm -rf .venv
    "$python" -m venv .venv
fi
rm -f .venv/.ready-*

say "installing rollbuild and its extra '$extra' (see pyproject.toml) into .venv; this takes a minute the first time"
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$extra]"; then
    say "error: pip could not install what pyproject.toml names"
    say "hint: it uses the package index of this machine's pip configuration; see 'pip config list' and PIP_INDEX_URL"
    exit 1
fi
echo "$ready" >".venv/.ready-$extra"
