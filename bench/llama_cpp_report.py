"""What compare_llama_cpp.py measured, as rows, ratios and Markdown; plain data in and out."""
import comparison


def rows_of(results):
    """One row per measured number. `results`: [{(model, engine, format, threads, part): what
    comparison.measure returns}], one per round."""
    rows = []
    for i, measured in enumerate(results):
        for (model, engine, label, threads, part), run in sorted(measured.items()):
            cell = {"round": i, "model": model, "engine": engine, "format": label,
                    "threads": threads, "part": part}
            if "failed" in run:
                rows.append({**cell, "failed": run["failed"]})
            for test, speed in run.get("tests", {}).items():
                rows.append({**cell, "test": test, "tokens_per_s": speed,
                             "cpu_share": run["cpu_share"],
                             "peak_rss_bytes": run["peak_rss_bytes"]})
    return rows


def speeds(rows):
    """{(model, engine, format, threads, test): {round: tokens per second}}."""
    result = {}
    for r in rows:
        if "test" in r:
            key = r["model"], r["engine"], r["format"], r["threads"], r["test"]
            result.setdefault(key, {})[r["round"]] = r["tokens_per_s"]
    return result


def ratio_rows(rows, cells):
    """Octet over llama.cpp for each pair of cells of one kind and each test that both have."""
    by_cell, result = speeds(rows), []
    for ours in (c for c in cells if c["engine"] == "octet"):
        for theirs in (c for c in cells if c["engine"] == "llama.cpp"):
            if (ours["model"], ours["kind"]) != (theirs["model"], theirs["kind"]):
                continue
            for (model, engine, label, threads, test), values in by_cell.items():
                if (model, engine, label) != (ours["model"], "octet", ours["format"]):
                    continue
                ratio = comparison.ratios(
                    values, by_cell.get((model, "llama.cpp", theirs["format"], threads, test), {}))
                if ratio:
                    result.append({"model": model, "octet": label, "llama_cpp": theirs["format"],
                                   "threads": threads, "test": test, "ratio": ratio})
    return result


def failures(rows):
    """Sentences, without those that repeat."""
    found = {f"{r['model']}: {r['engine']} {r['format']}, {r['part']}, {r['threads']} threads: "
             f"{r['failed']}" for r in rows if "failed" in r}
    return [f"- {line}" for line in sorted(found)]


def test_order(test):
    """Prefill, decode, then batched decode; each by its numbers."""
    kind, _, batch = test.partition(" b")
    return kind[:2] == "tg", int(batch or 0), int(kind[2:])


def columns_of(rows, model):
    """(threads, test) of a model's table, in order."""
    found = {(r["threads"], r["test"]) for r in rows if r["model"] == model and "test" in r}
    return sorted(found, key=lambda c: (test_order(c[1]), c[0]))


def speed_table(document, model):
    rows = document["rows"]
    by_cell, columns = speeds(rows), columns_of(rows, model)
    lines = []
    for c in (c for c in document["cells"] if c["model"] == model):
        peaks = [r["peak_rss_bytes"] for r in rows if "test" in r and " b" not in r["test"]
                 and (r["model"], r["engine"], r["format"]) == (model, c["engine"], c["format"])]
        line = [c["engine"], c["format"], f"{c['bytes'] / 1e6:.1f}",
                f"{max(peaks) / 1e6:.0f}" if peaks else ""]
        for threads, test in columns:
            values = by_cell.get((model, c["engine"], c["format"], threads, test))
            line.append(comparison.span(comparison.spread(list(values.values())), 1)
                        if values else "")
        lines.append(line)
    head = ["program", "format", "weights MB", "peak MB"]
    return comparison.table(head + [f"{test}, {threads}T" for threads, test in columns], lines)


def ratio_table(document, model):
    found = {}
    for r in document["ratios"]:
        if r["model"] == model:
            found.setdefault((r["octet"], r["llama_cpp"]), {})[r["threads"], r["test"]] = r["ratio"]
    columns = [c for c in columns_of(document["rows"], model)
               if any(c in ratios for ratios in found.values())]
    lines = [[*pair, *(comparison.span(ratios[c], 2) if c in ratios else "" for c in columns)]
             for pair, ratios in found.items()]
    return comparison.table(["Octet", "llama.cpp"] + [f"{test}, {threads}T"
                                                      for threads, test in columns], lines)


def markdown(d):
    e, load = d["environment"], d["load_average"]
    share = comparison.spread([r["cpu_share"] for r in d["rows"] if "test" in r])
    lines = [
        "# Speed beside llama.cpp", "",
        "Written by `bench/compare_llama_cpp.py`; the .json file beside this has every number.", "",
        f"{e['cpu']}, {e['cpus']} processors, {e['date']}; load average {load['median']:.1f} "
        f"({load['min']:.1f} to {load['max']:.1f}) while measuring. CPU time over wall time and "
        f"threads, loading included: {comparison.span(share, 2)}. Niceness {e['nice']}.", "",
        *comparison.table(["", "Octet", "llama.cpp"], [
            ["version", e["octet"], e["llama_cpp"]],
            ["instruction set", e["octet_isa"], e["llama_cpp_isa"]],
            ["compiler", e["octet_compiler"], e["llama_cpp_compiler"]]], left=3), "",
        "Random weights of the published shapes, the same for both programs "
        "(`tools/make_synthetic.py`). Tokens per second: pp is a prompt of that many tokens at "
        "once, tg one token at a time, tg b8 eight sequences together, in total; 1T is one thread. "
        f"Each of {d['rounds']} rounds runs every cell once, in random order, each in a process of "
        "its own after one warm-up. Median (slowest to fastest). Weights are the files' bytes, "
        "peak is the resident memory of the process. The median of a ratio is that of the ratios "
        "within rounds: the figure to trust on a machine that does other work.", "",
        "F32 and BF16 are the float formats of both. Q8_0 and W8A8, and Q4_0 and Q4_K_M and W4A8, "
        "have about as many bits per weight in the linears. llama-quantize also narrows the "
        "embedding and the head, to Q8_0 or Q6_K; Octet's recipes leave these 16 bits unless the "
        "cell says \"8-bit ends\": 8-bit rows, and a head with 8-bit inputs as in llama.cpp.",
    ]
    for model, same in d["same_likelihood"].items():
        lines += ["", f"## {model}", "",
                  f"The same model: {same['tokens']} tokens of random text cost "
                  f"{same['octet_nll']:.6f} nats each by Octet's fp32 and "
                  f"{same['llama_cpp_nll']:.6f} by llama.cpp's F32.", "",
                  *speed_table(d, model), "", "Octet over llama.cpp:", "", *ratio_table(d, model)]
    if failed := failures(d["rows"]):
        lines += ["", "## Failed runs", "", *failed]
    return "\n".join(lines) + "\n"
