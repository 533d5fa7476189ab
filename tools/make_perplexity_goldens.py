#!/usr/bin/env python3
"""Writes tests/golden/perplexity/ with the programs that Octet's perplexity protocols follow.

    pip install torch transformers lm_eval && tools/make_perplexity_goldens.py

wikitext.raw is text made up here in the form of WikiText, with the traps of its conversions in it;
expected.json has, of that file:
  joined          "\\n\\n".join of the rows that Hugging Face's data set has of it
  pages           its pages: {"page", "detokenized", "words", "bytes"}, the last three by lm-eval's
                  task wikitext
and for each model in models/, computed in fp32 by transformers:
  gptq            {"tokens", "window", "perplexity"}: the joined rows, as GPTQ evaluates
  strided         {"window", "stride", "perplexity"}: the loop of Hugging Face's guide
  rolling         [{"window", "log_likelihoods", "word_perplexity", "byte_perplexity",
                  "bits_per_byte"}]: lm-eval's HFLM.loglikelihood_rolling of the detokenized pages
Nothing here uses Octet.
"""
import json
import math
import os
import pathlib
import random

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import lm_eval
import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import bits_per_byte, weighted_perplexity
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks.wikitext import preprocess_wikitext

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/golden/perplexity"
MODELS = ["books-mamba2-5m", "books-mamba-5m"]
TRAPS = """\
 It was 1 @,@ 234 @.@ 5 m long , the well @-@ known bridge ; it cost £ 7 , and stood at 52 ° N .
 " Come in ! " said the keeper 's wife . " Who 's there ? " ( Nobody answered . )
 He wrote ' the lights ' and the girls ' coats [ sic ] { one ; two } ( a ( b ) c ) : done .
 The mark /' 5/ stays odd , an open ( bracket and one ' apostrophe too .
\t Tabs\u00a0and\u2003wide spaces , \u00e9t\u00e9 \u2013 \u65e5\u672c\u8a9e .\r
 Line with a carriage return before its end .\r\n\n \t\u3000\n = = Part = = \n = = = Smaller = = = \n\
 = not a title
 Words = after = signs =
"""


def prose(rng, sentences):
    people = ["The keeper", "An old man", "Her brother", "The captain", "A child", "Nobody"]
    deeds = ["looked at the sea", "walked to the door", "said nothing of it", "came back at night",
             "wrote a long letter", "had never seen the house", "laughed", "asked for the lamp"]
    ends = ["", " and was gone", " , as he had before", " because of the rain", " ; it was late"]
    return " ".join(f"{rng.choice(people)} {rng.choice(deeds)}{rng.choice(ends)} ."
                    for _ in range(sentences))


def raw_text():
    rng = random.Random(5)
    parts = [" \n = The Bridge = \n \n", TRAPS, " = The Lighthouse = \n \n"]
    parts += [f" {prose(rng, 12)} \n" for _ in range(18)]
    parts += [" = Short = \n Night . \n", " = = = Not one = = = \n", f" {prose(rng, 30)} \n"]
    return "".join(parts)


def rows(path):
    with open(path, encoding="utf-8") as file:  # universal newlines, as in the data set's script
        return [row if row.strip() else "" for row in file]


def pages(path):
    """As EleutherAI/wikitext_document_level cuts them."""
    found, page = [], []
    with open(path, encoding="utf-8") as file:
        for line in file.read().split("\n"):
            marked = line.replace("= = =", "===").replace("= =", "==").strip()
            if marked.startswith("= ") and marked.endswith(" ="):
                if "\n".join(page).strip():
                    found.append("\n".join(page))
                page = []
            page.append(line)
    return found + ["\n".join(page)]


def gptq(model, ids, window):
    losses = []
    for i in range(len(ids) // window):
        part = torch.tensor([ids[i * window:(i + 1) * window]])
        logits = model(part).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, part[0, 1:]).item() * window)
    return {"tokens": len(ids), "window": window,
            "perplexity": math.exp(sum(losses) / (len(losses) * window))}


def strided(model, ids, window, stride):
    total = count = previous = 0
    for begin in range(0, len(ids), stride):
        end = min(begin + window, len(ids))
        inputs = torch.tensor([ids[begin:end]])
        targets = inputs.clone()
        targets[:, :-(end - previous)] = -100
        weight = (targets != -100).sum().item() - 1
        total += model(inputs, labels=targets).loss.item() * weight
        count += weight
        previous = end
        if end == len(ids):
            break
    return {"window": window, "stride": stride, "perplexity": math.exp(total / count)}


def rolling(model, tokenizer, documents, window):
    harness = HFLM(pretrained=model, tokenizer=tokenizer, max_length=window, batch_size=1)
    requests = [Instance("loglikelihood_rolling", {}, (d["detokenized"],), i)
                for i, d in enumerate(documents)]
    found = harness.loglikelihood_rolling(requests, disable_tqdm=True)
    values = [v[0] if isinstance(v, tuple) else v for v in found]
    by = lambda size: list(zip(values, (d[size] for d in documents)))
    return {"window": window, "log_likelihoods": values,
            "word_perplexity": weighted_perplexity(by("words")),
            "byte_perplexity": weighted_perplexity(by("bytes")),
            "bits_per_byte": bits_per_byte(by("bytes"))}


def main():
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / "wikitext.raw"
    path.write_bytes(raw_text().encode())
    documents = []
    for page in pages(path):
        measured = preprocess_wikitext.process_results({"page": page}, [(0.0, False)])
        documents.append({"page": page,
                          "detokenized": preprocess_wikitext.wikitext_detokenizer({"page": page}),
                          "words": measured["word_perplexity"][1],
                          "bytes": measured["byte_perplexity"][1]})
    expected = {"lm_eval": lm_eval.__version__ if hasattr(lm_eval, "__version__") else "",
                "transformers": transformers.__version__,
                "joined": "\n\n".join(rows(path)), "pages": documents, "models": {}}
    for name in MODELS:
        folder = ROOT / "models" / name
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        ids = tokenizer(expected["joined"])["input_ids"]
        expected["models"][name] = {
            "gptq": gptq(model, ids, 2048),
            "strided": strided(model, ids, 1024, 512),
            "rolling": [rolling(model, tokenizer, documents, w) for w in (2048, 100)]}
        print(name, json.dumps(expected["models"][name])[:400])
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
