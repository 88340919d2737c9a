"""What a day costs: the engine against the same work written by hand, in CPU seconds of fresh processes.

    python bench/bench_engine.py [--large] [--pairs 3] [--json FILE]

100,000 customers and 5 million events, or 1 million and 50 million with `--large`. Yardstick and engine take turns;
each figure is the median of its turns. The figures are void unless engine and yardstick find the same candidates.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from generate import generate
from handwritten import cpu_s, fingerprint, peak_rss_mb
from rules50 import AS_OF, DAY, write_project

HERE = Path(__file__).resolve().parent
SIZES = {"small": (100_000, 5_000_000), "large": (1_000_000, 50_000_000)}
STATE_TABLES = ("decision", "settled_step", "exposure", "message")


# ── parts, each in a process of its own ─────────────────────────────────────────────────────────────────────────────


def evaluate(folder: Path) -> dict[str, object]:
    """Candidates, then decisions, without a state."""
    from engine import Project
    from engine.pipeline import Request, evaluate, plan_evaluated

    project = Project.load(folder)
    request = Request(AS_OF, "daily", project.rules, believe_tables=True)
    begun = cpu_s()
    evaluation = evaluate(project.loaded, project.templates, request, None)
    evaluated = cpu_s()
    figures: dict[str, object] = {"evaluate_s": evaluated - begun}
    figures["fingerprint"] = fingerprint(evaluation.db, "person")
    begun = cpu_s()
    plan = plan_evaluated(project.settings, evaluation, request, None)
    figures["plan_s"] = cpu_s() - begun
    figures["decisions"] = plan.db.execute("SELECT count(*) FROM decision").fetchall()[0][0]
    return figures


def run(folder: Path) -> dict[str, object]:
    """A whole daily run: load, check, evaluate, decide, write; or the same date once more."""
    begun = cpu_s()
    from engine import Project
    from engine.run import daily_run

    project = Project.load(folder)
    with project.open_store() as store:
        report = daily_run(project, store, "daily", DAY.date(), AS_OF, AS_OF)
    return {"run_s": cpu_s() - begun, "fresh": report.fresh, "messages": report.written.messages,
            "decisions": report.written.decisions}  # fmt: skip


def insert(folder: Path) -> dict[str, object]:
    """The rows that run wrote, put into an empty database of the same tables by the bare driver."""
    with sqlite3.connect(folder / "state.db") as state, tempfile.TemporaryDirectory() as scratch:
        schema = [
            row[0]
            for row in state.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        ]
        names = {table: [c[1] for c in state.execute(f"PRAGMA table_info({table})")] for table in STATE_TABLES}
        rows = {
            table: state.execute(f"SELECT {', '.join(names[table])} FROM {table}").fetchall() for table in STATE_TABLES
        }
        begun = cpu_s()
        target = sqlite3.connect(Path(scratch) / "copy.db", isolation_level=None)
        target.execute("PRAGMA journal_mode = WAL")
        target.execute("PRAGMA synchronous = FULL")
        for statement in schema:
            target.execute(statement)
        for table in STATE_TABLES:
            marks = ", ".join("?" * len(names[table]))
            target.execute("BEGIN")
            target.executemany(f"INSERT INTO {table} ({', '.join(names[table])}) VALUES ({marks})", rows[table])
            target.execute("COMMIT")
        target.close()
        return {"insert_s": cpu_s() - begun, "rows": sum(map(len, rows.values()))}


PARTS = {"evaluate": evaluate, "run": run, "insert": insert}


# ── the comparison ──────────────────────────────────────────────────────────────────────────────────────────────────


def part(name: str, folder: Path) -> dict[str, float]:
    return _process([str(HERE / "bench_engine.py"), "--part", name, str(folder)])


def by_hand(way: str, company: Path) -> dict[str, float]:
    return _process([str(HERE / "handwritten.py"), way, str(company)])


def _process(arguments: list[str]) -> dict[str, float]:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=HERE)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(size: str, pairs: int) -> dict[str, object]:
    customers, events = SIZES[size]
    scratch = HERE / "scratch" / size
    scratch.mkdir(parents=True, exist_ok=True)
    company = scratch / "company.duckdb"
    if not company.exists():
        company = generate(scratch, customers, events)
    fifty, many, whole = scratch / "rules50", scratch / "rules500", scratch / "run"
    write_project(fifty, company)
    write_project(many, company, segments=10)
    write_project(whole, company)
    turns: dict[str, list[dict[str, float]]] = {}
    for _ in range(pairs):
        for way in ("group", "statement", "queries"):
            turns.setdefault(way, []).append(by_hand(way, company))
        turns.setdefault("engine", []).append(part("evaluate", fifty))
        turns.setdefault("engine500", []).append(part("evaluate", many))
        for old in whole.glob("state.db*"):
            old.unlink()
        turns.setdefault("run", []).append(part("run", whole))
        turns.setdefault("again", []).append(part("run", whole))
        turns.setdefault("insert", []).append(part("insert", whole))
    return {"size": size, "at": datetime.now().isoformat(timespec="minutes"), **_figures(turns)}


def _figures(turns: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    def middle(name: str, key: str) -> float:
        return statistics.median(turn[key] for turn in turns[name])

    group, hand, queries = (middle(way, "cpu_s") for way in ("group", "statement", "queries"))
    evaluation, planning = middle("engine", "evaluate_s"), middle("engine", "plan_s")
    run_s, again_s = middle("run", "run_s"), middle("again", "run_s")
    many = middle("engine500", "evaluate_s") + middle("engine500", "plan_s")
    same = (
        turns["engine"][0]["fingerprint"] == turns["statement"][0]["fingerprint"] == turns["queries"][0]["fingerprint"]
    )
    rows = [
        ("evaluation / one hand-written statement a table", evaluation / hand, 1.3),
        ("evaluation / fifty separate queries", evaluation / queries, 0.5),
        ("evaluation / bare GROUP BY customer", evaluation / group, None),
        ("planning / evaluation", planning / evaluation, 0.15),
        ("whole run / (hand-written statement + raw inserts)", run_s / (hand + middle("insert", "insert_s")), 1.3),
        ("the same date again / first run", again_s / run_s, 0.3),
        ("500 rules / 50 rules (evaluation and planning)", many / (evaluation + planning), 3.0),
        ("peak memory of a run, GB", middle("run", "rss_mb") / 1024, 1.2),
    ]
    return {
        "same_candidates": same, "rows": rows,
        "cpu_s": {"group": group, "statement": hand, "queries": queries, "evaluate": evaluation, "plan": planning,
                  "run": run_s, "again": again_s, "insert": middle("insert", "insert_s"), "rules500": many},
        "candidates": turns["engine"][0]["decisions"], "messages": turns["run"][0]["messages"],
        "decision_changes": turns["run"][0]["decisions"], "rss_mb": {name: middle(name, "rss_mb") for name in turns},
    }  # fmt: skip


def show(result: dict[str, object]) -> None:
    print(
        f"{result['size']}: {result['candidates']:,} decisions, {result['messages']:,} messages, "
        f"{result['decision_changes']:,} decision changes written"
    )
    print("same candidates as by hand:", "yes" if result["same_candidates"] else "NO, the figures are void")
    for text, figure, goal in result["rows"]:  # type: ignore[attr-defined]
        against = "" if goal is None else f"goal {goal:<5} {'met' if figure <= goal else 'MISSED'}"
        print(f"  {text:<52} {figure:6.2f}   {against}")
    print("  CPU seconds:", ", ".join(f"{name} {value:.2f}" for name, value in result["cpu_s"].items()))  # type: ignore[attr-defined]
    print("  peak MB:", result["rss_mb"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", nargs=2, metavar=("PART", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        figures = PARTS[given.part[0]](Path(given.part[1]))
        print(json.dumps({**figures, "rss_mb": peak_rss_mb()}))
        return
    result = compare("large" if given.large else "small", given.pairs)
    show(result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
