#!/usr/bin/env python3
"""Writes tests/golden/tasks/: small files of zero-shot tasks and what lm-evaluation-harness makes
of them with a shipped model.

    pip install lm-eval==0.4.13 transformers torch && tools/make_task_goldens.py

The items are written for this purpose, with what is easy to get wrong: text that is not ASCII,
blanks at the end of contexts and choices, no context, brackets and capitals, labels that are
numbers, a text longer than the harness lets a model read. Same package versions, same bytes.
"""
import argparse
import json
import pathlib

import lm_eval.api.metrics as metrics

import lm_eval_tasks

LONG = " ".join(f"On day {i} the crew rowed past island number {i * 7 % 13} and sang."
                for i in range(150))

LAMBADA = [
    "The old captain looked at the sea and said that he loved the sea",
    "Alone",
    "She asked for bread and he gave her  bread",
    "Er trank Kaffee, sie trank Tee; am Ende tranken beide Kaffee",
    "\u201cWho is it?\u201d asked Zo\u00eb. \u201cIt is me,\u201d said the na\u00efve \u00e9l\u00e8ve",
    "The list read: one\ttwo\nthree and then nothing ",
    "It ends here.<|endoftext|>It was the best of times, it was the worst of times",
    LONG,
    "I beg your pardon",
    "There was no one in the house, and there was no one in the house",
    "\u6771\u4eac is a city and Tokyo is \u6771\u4eac",
    "I said that I would go, and I went, and there I saw him, and he was the man of the house",
]

HELLASWAG = [
    dict(activity_label="Baking bread", ctx_a="A baker kneads dough on a table.",
         ctx_b="the baker", label="2",
         endings=["throws it at the window.", "sings to it until it rises.",
                  "puts it into the oven.", "paints it blue."]),
    dict(activity_label="Home and Garden",
         ctx_a="[header] How to water a fern [title] Check the soil. [step] Put a finger into it.",
         ctx_b="", label="0",
         endings=["[substeps] If it is dry, give it a cup of water.",
                  "[title] Sell the fern.  [step] Ferns fetch good prices.",
                  "Put the finger [or the hand] back.", " Wait for rain. "]),
    dict(activity_label="Le caf\u00e9", ctx_a="Un gar\u00e7on apporte le caf\u00e9 cr\u00e8me.",
         ctx_b="\u00c9lodie ET NO\u00cbL", label="3",
         endings=["le boivent tr\u00e8s vite \u2014 trop vite\u2026", "s'en vont.",
                  "\u00e9l\u00e8vent des h\u00e9rissons \U0001f994\U0001f994 chez eux.",
                  "regardent la mer."]),
    dict(activity_label="Reading  signs", ctx_a="A sign reads [sic] OPEN.",
         ctx_b="\u039f\u0394\u039f\u03a3 \u03a3\u0391\u03a3 IS [A\nB] WHAT the second SAYS",
         label="1",
         endings=["They turn.", "They turn back.", "They turn back and go.", "They"]),
    dict(activity_label="\u00dfign", ctx_a="He bends down and lifts the heavy bar over his head.",
         ctx_b="he", label="0",
         endings=["drops it.", "drops it on the floor.", "drops it on the cat.", "eats it."]),
]

PIQA = [
    dict(goal="How do I keep soup warm?", sol1="Put a lid on the pot.",
         sol2="Put the pot on a lid.", label=0),
    dict(goal="lamp ", sol1="gives light at night ", sol2="gives milk in the morning", label=0),
    dict(goal="Write \u201ccaf\u00e9\u201d in French.",
         sol1="caf\u00e9 \u2615\ufe0f\u2615\ufe0f\u2615\ufe0f", sol2="cafe, without any accent", label=0),
    dict(goal="", sol1="Nothing was asked.", sol2="Everything was asked.", label=1),
    dict(goal="To cross a river,", sol1="use a bridge", sol2="use a bridge ", label=1),
]

ARC_EASY = [
    dict(id="a1", question="Which of these do plants need to grow?",
         choices=dict(text=["light", "noise", "paint", "glass"], label=["A", "B", "C", "D"]),
         answerKey="A"),
    dict(id="a2", question="How many legs has a spider?",
         choices=dict(text=["4", "6", "8", "10"], label=["1", "2", "3", "4"]), answerKey="3"),
    dict(id="a3", question="At which temperature does water freeze?\n(at sea level)",
         choices=dict(text=["0 \u00b0C", "100 \u00b0C", "\u221240 \u00b0F"], label=["A", "B", "C"]),
         answerKey="A"),
    dict(id="a4", question="Who wrote it?",
         choices=dict(text=["the man in the house", "the man in the boat", "the man", "a man", "I"],
                      label=["A", "B", "C", "D", "E"]), answerKey="E"),
]

ARC_CHALLENGE = [
    dict(id="c1", question="What made the river warmer than the lake",
         choices=dict(text=["Its water came from a hot spring.", "It was a river.", "Fish",
                            "The lake was in the shade of a hill all day long."],
                      label=["A", "B", "C", "D"]), answerKey="D"),
    dict(id="c2", question="Welcher Stoff ist \u00e4lter?",
         choices=dict(text=["Granit \u2014 \u00fcber eine Milliarde Jahre", "Papier",
                            "\u00d6l \u00e4\u00f6\u00fc\u00e4\u00f6\u00fc\u00e4\u00f6\u00fc"],
                      label=["1", "2", "3"]), answerKey="2"),
]

WINOGRANDE = [
    dict(sentence="The cup did not fit on the shelf because the _ was too wide.",
         option1="cup", option2="shelf", answer="1"),
    dict(sentence="Anna thanked Bella, because _ had helped her all day. ",
         option1="Anna", option2="Bella ", answer="2"),
    dict(sentence="_ is the taller of Jos\u00e9 and Zo\u00eb, so the _ was not in reach.",
         option1="Jos\u00e9", option2="Zo\u00eb", answer="1"),
    dict(sentence="He sold the old boat and kept the new one, as the _\u00a0leaked.",
         option1="old boat", option2="new boat", answer="1"),
    dict(sentence="The dog chased the cat up the tree, for the _", option1="dog", option2="cat",
         answer="2"),
]

DATA = {"lambada_openai": [{"text": t} for t in LAMBADA], "hellaswag": HELLASWAG, "piqa": PIQA,
        "arc_easy": ARC_EASY, "arc_challenge": ARC_CHALLENGE, "winogrande": WINOGRANDE}


def write_lines(path, values):
    path.write_text("".join(json.dumps(v, ensure_ascii=False) + "\n" for v in values))


def items(lm, name, task):
    """What the harness makes of each item: prompts, tokens, scores, metrics."""
    requests = []
    score_tokens = lm._loglikelihood_tokens

    def remember(new, **kwargs):
        requests.extend(new)
        return score_tokens(new, **kwargs)

    lm._loglikelihood_tokens = remember
    scored, _ = lm_eval_tasks.score(lm, task)
    lm._loglikelihood_tokens = score_tokens
    for doc, (_, instances, scores, result) in enumerate(scored):
        own = [requests.pop(0) for _ in instances]
        assert [r[0] for r in own] == [i.args for i in instances]
        whole = [(context + continuation)[-(lm.max_length + 1):] for _, context, continuation in own]
        yield {
            "task": name, "doc": doc, "prompts": [list(i.args) for i in instances],
            "tokens": whole, "scored": [len(r[2]) for r in own],
            "loglikelihood": [ll for ll, _ in scores], "is_greedy": [greedy for _, greedy in scores],
            **{k: result[k] for k in ("acc", "acc_norm") if k in result}}


def summary(name, rows):
    """Aggregates of the harness."""
    out = {"task": name}
    for metric in ("acc", "acc_norm"):
        values = [r[metric] for r in rows if metric in r]
        if values:
            out[metric] = metrics.mean(values)
            out[metric + "_stderr"] = metrics.mean_stderr(values)
    if name == "lambada_openai":
        out["perplexity"] = metrics.perplexity([r["loglikelihood"][0] for r in rows])
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--model", default="models/books-mamba2-5m")
    p.add_argument("--output", default="tests/golden/tasks")
    args = p.parse_args()
    folder = pathlib.Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in DATA.items():
        write_lines(folder / lm_eval_tasks.TASKS[name][0], values)
    lm = lm_eval_tasks.model(args.model, batch_size=1, threads=1)
    rows, summaries = [], []
    for name, task in lm_eval_tasks.tasks(folder).items():
        own = list(items(lm, name, task))
        rows += own
        summaries.append(summary(name, own))
    write_lines(folder / "expected.jsonl", rows)
    write_lines(folder / "summary.jsonl", summaries)
    print(lm_eval_tasks.versions())


if __name__ == "__main__":
    main()
