"""All benchmarks, one after the other, each in a process of its own so that its peak memory is its own.

make bench        sizes that fit ten minutes
make bench-full   the sizes of docs/performance.md; an hour
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAMES = (
    "tracing",
    "policy",
    "absorb",
    "cycle",
    "status",
    "translog",
    "verify",
    "publish",
    "gateway",
    "sealed",
    "register",
    "scanin",
    "web",
    "attack",
)


def machine() -> dict[str, Any]:
    """What the figures were seen on."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = next(
        int(x.split()[1]) for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemTotal")
    )
    packages = {
        name: importlib.metadata.version(name) for name in ("numpy", "numba", "duckdb", "pyarrow", "sqlglot")
    }
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": packages,
        "load_before": os.getloadavg(),
    }


def main() -> None:
    wishes = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    wishes.add_argument("--full", action="store_true", help="the sizes of docs/performance.md")
    wishes.add_argument("--only", choices=NAMES, action="append", help="only these")
    wishes.add_argument("--out", type=Path, default=HERE / "results", help="where the JSON goes")
    asked = wishes.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in asked.only or NAMES:
        about = {
            "bench": name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "full": asked.full,
            "machine": machine(),
        }
        print(
            f"\n== {name} ({'full' if asked.full else 'short'}) on {about['machine']['processor']}, "
            f"load {about['machine']['load_before'][0]:.1f}",
            flush=True,
        )
        raw = asked.out / f"{name}.raw.json"
        command = [
            sys.executable,
            str(HERE / f"{name}.py"),
            "--out",
            str(raw),
            *(["--full"] if asked.full else []),
        ]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
            continue
        about["load_after"] = os.getloadavg()
        figures = json.loads(raw.read_text())
        raw.unlink()
        (asked.out / f"{name}{'-full' if asked.full else ''}.json").write_text(
            json.dumps({**about, "figures": figures}, indent=2) + "\n"
        )
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
