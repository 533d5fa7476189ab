"""Interleaved measurements of programs: running one, ratios within rounds, tables."""
import os
import random
import statistics
import subprocess
import tempfile
import time


def measure(command, threads, parse):
    """Runs a program once: {"tests": what `parse` makes of its output, "seconds", "cpu_share",
    "peak_rss_bytes"}, or {"failed": why}. cpu_share is CPU time over wall time times threads,
    loading included."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        child = subprocess.Popen(list(map(str, command)), stdout=output,
                                 stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            return {"failed": f"signal {-child.returncode}" if child.returncode < 0
                    else f"exit status {child.returncode}"}
        output.seek(0)
        tests = parse(output.read())
    return {"tests": tests, "seconds": seconds, "peak_rss_bytes": usage.ru_maxrss << 10,
            "cpu_share": (usage.ru_utime + usage.ru_stime) / (seconds * threads)}


def rounds(count, runs, progress):
    """Each of the runs, (key, function without arguments), once per round, in another order each
    time: a slow moment of the machine hits no program more than others. [{key: result}], one per
    round."""
    result = []
    for i in range(count):
        order = list(runs)
        random.Random(i).shuffle(order)
        result.append({})
        for n, (key, run) in enumerate(order):
            progress(f"round {i + 1} of {count}, {n + 1} of {len(order)}: "
                     + " ".join(map(str, key)))
            result[-1][key] = run()
    return result


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values),
            "n": len(values)}


def ratios(ours, theirs):
    """Spread of ours / theirs over the rounds in which both were measured, {round: value} each;
    None without such a round. The median of ratios, not the ratio of medians: both sides of a ratio
    saw the same load."""
    both = [ours[i] / theirs[i] for i in ours if i in theirs]
    return spread(both) if both else None


def span(s, digits):
    """"median (min to max)"."""
    return f"{s['median']:.{digits}f} ({s['min']:.{digits}f} to {s['max']:.{digits}f})"


def table(head, rows, left=2):
    """Lines of Markdown; columns after the first `left` align right."""
    lines = ["| " + " | ".join(head) + " |",
             "|" + "|".join(["---"] * left + ["--:"] * (len(head) - left)) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
