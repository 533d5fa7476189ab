"""lm-evaluation-harness on local files: its own tasks and HFLM, nothing from the network.

For tools that compare Octet with it; needs PyPI lm-eval==0.4.13, transformers and torch.
"""
import contextlib
import os
import pathlib
import sys
import tempfile
import time

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error",
                  HF_DATASETS_DISABLE_PROGRESS_BARS="1", TOKENIZERS_PARALLELISM="false")

try:
    import datasets
    import lm_eval
    import lm_eval.tasks
    import torch
    import transformers
    from lm_eval.models.huggingface import HFLM
except ModuleNotFoundError as e:
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {e.name} is missing: pip install lm-eval==0.4.13"
             " transformers torch")

# The file in the layout of the harness's dataset, the split that its task evaluates, and the task.
TASKS = {
    "lambada_openai": ("lambada_openai.jsonl", "test", "lambada/lambada_openai.yaml"),
    "hellaswag": ("hellaswag_val.jsonl", "validation", "hellaswag/hellaswag.yaml"),
    "piqa": ("piqa_valid.jsonl", "validation", "piqa/piqa.yaml"),
    "arc_easy": ("arc_easy_test.jsonl", "test", "arc/arc_easy.yaml"),
    "arc_challenge": ("arc_challenge_test.jsonl", "test", "arc/arc_challenge.yaml"),
    "winogrande": ("winogrande_dev.jsonl", "validation", "winogrande/default.yaml"),
}


def versions():
    return {"lm_eval": lm_eval.__version__, "transformers": transformers.__version__,
            "torch": torch.__version__}


def tasks(folder, names=tuple(TASKS)):
    """The harness's own tasks, each reading its file in `folder`."""
    original = pathlib.Path(lm_eval.tasks.__file__).parent
    with tempfile.TemporaryDirectory() as work:
        for name in names:
            file, split, yaml = TASKS[name]
            # The function tags of an included file are relative to it.
            (pathlib.Path(work) / f"{name}.yaml").write_text(
                f"include: {original / yaml}\ntask: {name}\ndataset_path: json\n"
                f"dataset_name: null\ndataset_kwargs:\n  data_files:\n"
                f"    {split}: {pathlib.Path(folder).resolve() / file}\n"
                f"  cache_dir: {work}/cache\ntraining_split: null\n"
                f"{'validation' if split == 'test' else 'test'}_split: null\n")
        manager = lm_eval.tasks.TaskManager(include_path=work, include_defaults=False)
        loaded = manager.load(list(names))["tasks"]
        for task in loaded.values():
            task.set_config(key="num_fewshot", value=0)
            # Read once: the cache goes with the folder.
            task.dataset = datasets.DatasetDict(
                {k: datasets.Dataset.from_list(v.to_list(), features=v.features)
                 for k, v in task.dataset.items()})
        return loaded


def model(folder, batch_size, threads=None):
    """transformers in fp32 on the CPU."""
    if threads:
        torch.set_num_threads(threads)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return HFLM(pretrained=loaded, tokenizer=tokenizer, batch_size=batch_size, device="cpu")


def score(lm, task, limit=None):
    """Items of the task as (doc, instances, results, metrics), and the seconds of scoring."""
    task.build_all_requests(limit=limit, rank=0, world_size=1)
    with torch.no_grad(), open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
        begin = time.monotonic()
        results = lm.loglikelihood(task.instances)
        seconds = time.monotonic() - begin
    items = {}
    for instance, result in zip(task.instances, results, strict=True):
        items.setdefault(instance.doc_id, []).append((instance, result))
    out = []
    for _, pairs in sorted(items.items()):
        pairs.sort(key=lambda pair: pair[0].idx)
        instances, scores = zip(*pairs)
        doc = instances[0].doc
        out.append((doc, instances, scores, task.process_results(doc, list(scores))))
    return out, seconds
