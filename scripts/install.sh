#!/bin/sh
# Make the virtual environment .venv and install a lock file into it.
# usage: install.sh PYTHON LOCKFILE
set -eu
python=$1
lock=$2

if ! command -v "$python" >/dev/null 2>&1; then
    echo "poolmap: there is no '$python'. Install Python 3.11 or newer (Debian, Ubuntu: sudo apt install python3 python3-venv)," >&2
    echo "         or name another one: make demo PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "poolmap: $("$python" --version) is too old; Python 3.11 or newer is needed." >&2
    echo "         Name another one: make demo PYTHON=python3.12" >&2
    exit 1
fi
if [ -x .venv/bin/python ] && ! .venv/bin/python -c '' >/dev/null 2>&1; then
    echo "poolmap: .venv does not work any more (was Python upgraded?); making it anew." >&2
    rm -rf .venv
fi
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "poolmap: making the virtual environment .venv"
    if ! "$python" -m venv --clear .venv; then
        echo "poolmap: the virtual environment could not be made." >&2
        echo "         Debian, Ubuntu: sudo apt install python3-venv, then the same command again." >&2
        exit 1
    fi
fi
echo "poolmap: installing the packages of $lock (a minute or two, the first time)"
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"; then
    echo "poolmap: the packages could not be installed; the lines above say why." >&2
    echo "         They come from the Python package index: is the network there? Then the same command again." >&2
    exit 1
fi
