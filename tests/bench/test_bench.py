"""Benchmarks: ratios of two things measured in one run, since machines differ and are noisy.

The corpus is generated, as large as the rolls of Rocks 7 together: 220 node files, 250 edges, 120 orders.
`ROLLBUILD_BENCH_ROLLS=DIR` measures with real rolls instead (root node by `ROLLBUILD_BENCH_ROOT`).
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.bench.corpus import write_corpus

ROUNDS = 7
SOURCE = Path(__file__).parents[2]
# An installed rollbuild has its bytecode at hand.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE)}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> tuple[Path, str]:
    given = os.environ.get("ROLLBUILD_BENCH_ROLLS")
    if given:
        return Path(given), os.environ.get("ROLLBUILD_BENCH_ROOT", "compute")
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder, "compute"


def run(argv: Sequence[str]) -> None:
    subprocess.run(argv, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ratio(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float, float]:
    """Median seconds of both, taken in turns, and the median of the ratios pair by pair."""
    pairs = []
    one()
    other()
    for _ in range(ROUNDS):
        times = []
        for action in (one, other):
            start = time.perf_counter()
            action()
            times.append(time.perf_counter() - start)
        pairs.append((times[0], times[1]))
    ratios = [first / second for first, second in pairs]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs), statistics.median(ratios)


def tell(capsys: pytest.CaptureFixture[str], what: str, seconds: float, floor: float, times: float, aim: str) -> None:
    with capsys.disabled():
        print(f"\n{what}: {seconds:.3f} s, floor {floor:.3f} s, ratio {times:.2f} (aim: {aim})")


def test_one_appliance_against_a_bare_parse(corpus, capsys, tmp_path):
    folder, root = corpus
    base = [sys.executable, "-m", "rollbuild"]
    options = ["--rolls", str(folder), "-A", "rocks_version=7.0", "-A", "Kickstart_PrivateRootPassword=x"]
    nodes = subprocess.run(
        [*base, "list", "nodes", root, *options, "--json"], env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    names = {f"{name}.xml" for name in json.loads(nodes.stdout)}
    files = [path for path in sorted(folder.rglob("*.xml")) if path.name in names or "graphs" in path.parts]
    listing = tmp_path / "files"
    listing.write_text("\n".join(map(str, files)))
    parse = (
        "import lxml.etree as e,sys\n"
        "p=e.XMLParser(resolve_entities=False,recover=True)\n"
        "for f in open(sys.argv[1]).read().split(): e.parse(f,p)"
    )
    compile_ = [*base, "compile", root, *options, "--no-validate", "-o", str(tmp_path / "out")]
    result = ratio(lambda: run(compile_), lambda: run([sys.executable, "-c", parse, str(listing)]))
    tell(capsys, f"compile of one appliance ({len(files)} files)", *result, "3")


def test_ten_thousand_hosts_against_writing_the_bytes(capsys, tmp_path):
    folder = tmp_path / "rolls"
    write_corpus(folder, payload=2400)
    rows = (f"c-{i // 100}-{i % 100},compute,10.1.{i // 250}.{i % 250},{i // 100},{i % 100}" for i in range(10_000))
    hosts = tmp_path / "hosts.csv"
    hosts.write_text("name,appliance,hostaddr,rack,rank\n" + "\n".join(rows) + "\n")
    out, plain = tmp_path / "out", tmp_path / "plain"
    argv = [sys.executable, "-m", "rollbuild", "-q", "compile", "--rolls", str(folder), "--hosts", str(hosts)]
    argv += ["-A", "rocks_version=7.0", "-A", "Kickstart_PrivateRootPassword=x", "--no-validate", "-o", str(out)]
    run(argv)
    size = (out / "c-0-0.ks").stat().st_size
    plain.mkdir()
    data = (out / "c-0-0.ks").read_bytes()

    def write() -> None:
        for index in range(10_000):
            with open(plain / f"c-{index}.ks", "wb", buffering=0) as file:
                file.write(data)

    pairs = []
    for _ in range(3):
        for target in (out, plain):
            for path in target.iterdir():
                path.unlink()
        start = time.perf_counter()
        run(argv)
        middle = time.perf_counter()
        write()
        pairs.append((middle - start, time.perf_counter() - middle))
    ratios = statistics.median(one / other for one, other in pairs)
    ours, floor = (min(seconds) for seconds in zip(*pairs, strict=True))
    tell(capsys, f"10,000 hosts of {size / 1000:.0f} kB", ours, floor, ratios, "2")


def test_memory_is_flat_in_the_number_of_hosts(capsys, tmp_path):
    folder = tmp_path / "rolls"
    write_corpus(folder, payload=2400)
    peaks = []
    for count in (1_000, 10_000):
        hosts = tmp_path / f"{count}.csv"
        rows = (f"c-{i // 100}-{i % 100},compute,10.1.{i // 250}.{i % 250}" for i in range(count))
        hosts.write_text("name,appliance,hostaddr\n" + "\n".join(rows) + "\n")
        argv = [sys.executable, "-m", "rollbuild", "-q", "compile", "--rolls", str(folder), "--hosts", str(hosts)]
        argv += ["-A", "rocks_version=7.0", "--no-validate", "-o", str(tmp_path / f"out{count}")]
        process = subprocess.Popen(argv, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss)
    with capsys.disabled():
        print(f"\npeak memory: 1,000 hosts {peaks[0] / 1024:.0f} MiB, 10,000 hosts {peaks[1] / 1024:.0f} MiB")


def test_help(capsys):
    argv = [sys.executable, "-m", "rollbuild", "--help"]
    result = ratio(lambda: run(argv), lambda: run([sys.executable, "-c", "pass"]))
    tell(capsys, "rollbuild --help", *result, "below 0.1 s")
