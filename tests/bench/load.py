"""A server under load: turns a second, how long each takes, memory, and how long the start takes.

    python -m tests.bench.load [--seconds 60] [--clients 8 200] [--bots nova words] [--stores sqlite postgres]
    python -m tests.bench.load --soak 30 [--rate 20] [--bots nova] [--stores sqlite]

Starts `starfold run` on a copy of Nova (`nova`: all encoders, `words`: the n-grams alone), and talks to it over HTTP
with so many clients, each in a conversation of its own, a new one after `TURNS`, each waiting for its answer before it
goes on. Clients and server share the machine's cores. PostgreSQL is the one of `STARFOLD_TEST_POSTGRES`. It takes a
minute for each row, and one for training.

With `--soak` so many turns a second come for so many minutes, whatever the server can do, and its memory is written
down every minute; rows go to `results/soak.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

from uvloop import run  # what the client takes, the server has not

from tests.conversations.nova import write_project
from tests.dialogue.servers import free_port
from tests.dialogue.stores import ROOT, scratch_schema

RESULTS = Path(__file__).parent / "results" / "load.json"
SOAK = RESULTS.with_name("soak.json")
TURNS = 20  # of a conversation
TALKING = 20  # conversations at once in a soak
TOKEN = "bench"
FREE = {"rates": {"sender": None, "address": None, "key": None}, "log": "text"}
BOTS = ("nova", "words")
TEXTS = (
    *("hello", "can we see saturn tonight?", "when do you open", "how much is a ticket for two adults", "thanks a lot"),
    *(
        "is there parking",
        "what if it is cloudy",
        "do you have a shop",
        "blub",
        "who are you",
        "is it dark enough",
        "bye",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 200])
    parser.add_argument("--bots", nargs="+", choices=BOTS, default=list(BOTS))
    parser.add_argument("--processes", type=int, default=1, help="processes of the server")
    parser.add_argument("--stores", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--rate", type=float, default=20, help="turns a second of a soak")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for bot in given.bots:
            project = write_bot(Path(folder) / bot, bot)
            for store in given.stores:
                if given.soak is None:
                    rows += measured(project, bot, store, given.clients, given.seconds, given.processes)
                else:
                    rows += soaked(project, bot, store, given.soak, given.rate)
    out = given.out or (RESULTS if given.soak is None else SOAK)
    out.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print(table(rows))


def write_bot(folder: Path, bot: str) -> Path:
    """A trained project."""
    folder.mkdir()
    file = write_project(folder, "en", tune="last_layers" if bot == "nova" else "none") / "bot.yml"
    settings = json.loads(file.read_text("utf-8")) | {"server": FREE, "store": {"url": "${BENCH_STORE}"}}
    if bot == "words":
        settings["encoders"] = {"words": "onehot"}
    file.write_text(json.dumps(settings), "utf-8")
    starfold("train", "-p", str(folder), store="sqlite://").wait()
    return folder


def starfold(*arguments: str, store: str) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    here = {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_STORE": store, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "dialogue", *arguments], env=here, stdout=subprocess.DEVNULL)


@contextmanager
def served(project: Path, store: str, processes: int = 1) -> Iterator[tuple[int, list[int], float]]:
    """A server: its port, its processes, and the seconds from its start until one was ready."""
    port = free_port()
    begun = time.monotonic()
    options = "--port", str(port), "--auth-token", TOKEN, "--processes", str(processes)
    process = starfold("run", "-p", str(project), *options, store=store)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() - begun > 120:
                    raise
                time.sleep(0.02)
        ready = time.monotonic() - begun
        while len(pids := family(process.pid)) < processes or busy(pids):
            pass
        yield port, pids, ready
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def database(project: Path, store: str) -> Iterator[str]:
    """The URL of an empty database."""
    if store == "postgres":
        with scratch_schema() as url:
            yield url
    else:
        with tempfile.TemporaryDirectory(dir=project) as folder:
            yield f"sqlite:///{folder}/load.db"


def measured(
    project: Path, bot: str, store: str, clients: list[int], seconds: float, processes: int
) -> list[dict[str, Any]]:
    """A row for each number of clients, all on the same server; memory and processor time are of all its processes."""
    average = round(os.getloadavg()[0], 1)  # what else goes on; above 0.5 the figures tell of that, too
    with ExitStack() as stack:
        url = stack.enter_context(database(project, store))
        port, pids, ready = stack.enter_context(served(project, url, processes))
        idle = resident_mb(*pids)
        run(load(port, 4 * processes, 3.0, "warm"))  # caches of the machine and the database
        rows = []
        for number in clients:
            before, cpu = resident_mb(*pids), cpu_seconds(*pids)
            took, failed = run(load(port, number, seconds, f"{number}"))
            rows.append(
                {
                    "bot": bot,
                    "store": store,
                    "processes": processes,
                    "clients": number,
                    "seconds": seconds,
                    "turns_per_second": round(len(took) / seconds, 1),
                    "failed": failed,
                    **percentiles(took),
                    "cpu_ms_per_turn": round(1000 * (cpu_seconds(*pids) - cpu) / max(1, len(took)), 2),
                    "start_to_ready_seconds": round(ready, 2),
                    "resident_mb_idle": idle,
                    "resident_mb_before": before,
                    "resident_mb_after": resident_mb(*pids),
                    "load_average_before": average,
                }
            )
            print(rows[-1], flush=True)
        return rows


def percentiles(took: list[float]) -> dict[str, float]:
    """Milliseconds that half, 95 and 99 of 100 turns stay below."""
    cut = quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    return {f"p{share}_ms": round(1000 * cut[share - 1], 1) for share in (50, 95, 99)}


def soaked(project: Path, bot: str, store: str, minutes: float, rate: float) -> list[dict[str, Any]]:
    """A row for each minute at a fixed rate."""
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        port, (pid,), _ = stack.enter_context(served(project, stack.enter_context(database(project, store))))
        before = {"bot": bot, "store": store, "rate": rate}
        rows.append({**before, "minute": 0, "turns": 0, "failed": 0, "p50_ms": 0.0, "p99_ms": 0.0})
        rows[-1] |= {"cpu_ms_per_turn": 0.0, "resident_mb": resident_mb(pid)}
        for minute in range(1, round(minutes) + 1):
            cpu = cpu_seconds(pid)
            took, failed = run(steady(port, rate, 60.0, f"soak-{minute}"))
            shares = percentiles(took)
            row = {**before, "minute": minute, "turns": len(took), "failed": failed}
            row |= {name: shares[name] for name in ("p50_ms", "p99_ms")}
            row["cpu_ms_per_turn"] = round(1000 * (cpu_seconds(pid) - cpu) / max(1, len(took)), 2)
            rows.append({**row, "resident_mb": resident_mb(pid)})
            print(rows[-1], flush=True)
    return rows


async def load(port: int, clients: int, seconds: float, name: str) -> tuple[list[float], int]:
    """Talk with so many clients for so long: seconds of each turn, and how many requests failed."""
    until = time.monotonic() + seconds
    talks = (talk(port, f"{name}-{number}", number, until) for number in range(clients))
    found = await asyncio.gather(*talks)
    return [second for took, _ in found for second in took], sum(failed for _, failed in found)


async def steady(port: int, rate: float, seconds: float, name: str) -> tuple[list[float], int]:
    """The same at so many turns a second, over conversations that take turns."""
    until, gap = time.monotonic() + seconds, TALKING / rate
    talks = (talk(port, f"{name}-{number}", number, until, gap, number / rate) for number in range(TALKING))
    found = await asyncio.gather(*talks)
    return [second for took, _ in found for second in took], sum(failed for _, failed in found)


async def talk(
    port: int, name: str, offset: int, until: float, gap: float = 0.0, delay: float = 0.0
) -> tuple[list[float], int]:
    """One client on one connection; a turn begins no sooner than `gap` seconds after the one before."""
    await asyncio.sleep(delay)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took, failed, number = [], 0, 0
    due = time.monotonic()
    while time.monotonic() < until:
        begun = time.monotonic()
        if await said(reader, writer, f"{name}-{number // TURNS}", TEXTS[(offset + number) % len(TEXTS)]):
            took.append(time.monotonic() - begun)
        else:
            failed += 1
        number, due = number + 1, due + gap
        if gap:
            await asyncio.sleep(due - time.monotonic())
    writer.close()
    return took, failed


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, conversation: str, text: str) -> bool:
    """Say something and read the answer; whether there was one."""
    body = json.dumps({"text": text})
    request = (
        f"POST /api/conversations/{conversation}/messages HTTP/1.1",
        *("Host: bot", f"Authorization: Bearer {TOKEN}", "Content-Type: application/json"),
        *(f"Content-Length: {len(body)}", "", body),
    )
    writer.write("\r\n".join(request).encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    (length,) = re.findall(rb"content-length: (\d+)", answer)
    await reader.readexactly(int(length))
    return answer.startswith(b"HTTP/1.1 200")


def family(pid: int) -> list[int]:
    """A process and those that it began."""
    begun = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, begun)]


def busy(pids: list[int]) -> bool:
    """Whether processes compute, such as one that still loads its model."""
    before = cpu_seconds(*pids)
    time.sleep(0.5)
    return cpu_seconds(*pids) - before > 0.05


def resident_mb(*pids: int) -> float:
    """Resident memory of processes; what they share counts for each."""
    status = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return round(sum(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024, 1)


def cpu_seconds(*pids: int) -> float:
    """Processor time of processes so far, all threads."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    names = [name for name in rows[0] if name != "seconds"]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join(lines + [f"| {' | '.join(str(row[name]) for name in names)} |" for row in rows])


if __name__ == "__main__":
    main()
