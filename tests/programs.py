"""Programs that tests run where this machine has them (tools/test-programs.sh installs them)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rollbuild.process import find_program


def need_program(name: str) -> str:
    """The path of a program, which may lie beside this Python or where only root looks; the test is skipped without."""
    path = find_program(name) or shutil.which(name, path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def need_programs(*names: str) -> None:
    """The test is skipped without these."""
    for name in names:
        need_program(name)


def need_dvd_programs() -> None:
    """The test is skipped without what install DVDs are made with."""
    need_programs("xorriso", "mcopy", "mkfs.vfat")
    if not Path("/usr/lib/ISOLINUX/isohdpfx.bin").exists() and not Path("/usr/share/syslinux/isohdpfx.bin").exists():
        pytest.skip("isohdpfx.bin (package isolinux) is not installed")


def run_checker(*command: str | Path) -> str:
    """What a program says of files, on both streams; it must accept them."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
