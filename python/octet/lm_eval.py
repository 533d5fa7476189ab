"""Octet as a model of lm-evaluation-harness, registered as ``octet``.

    lm_eval --model octet --model_args path=DIR --tasks arc_easy

The harness (0.4.13) has no plugins, only a registry: a hook that the package installs beside itself
(_octet_lm_eval.py) adds the model when the harness imports its own. Importing this module does so too.
"""

from __future__ import annotations

from typing import Any

from lm_eval import utils
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from tqdm import tqdm

import octet

Pair = tuple[list[int], list[int]]


@register_model("octet")
class OctetLM(TemplateLM):  # type: ignore[misc]
    """Model arguments: path, and what follows it in the constructor.

    ``max_length`` is the most tokens that a request sees, as with HFLM: the state has no limit, but what a
    task's numbers mean depends on it. ``batch_size`` and ``device`` are accepted and have no meaning.
    """

    def __init__(
        self,
        path: str,
        *,
        threads: int | str | None = None,
        chunk_size: int | str | None = None,
        max_length: int | str = 2048,
        max_gen_toks: int | str = 256,
        batch_size: int | str | None = None,
        max_batch_size: int | str | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__()
        self.model = octet.load(
            path,
            threads=None if threads is None else int(threads),
            chunk_size=None if chunk_size is None else int(chunk_size),
        )
        if not self.model.eos_token_ids:
            raise ValueError(f"{path}: the harness needs a token that ends a text, see eos_token_id")
        self.max_length = int(max_length)
        self.max_gen_toks = int(max_gen_toks)

    @property
    def eot_token_id(self) -> int:
        return self.model.eos_token_ids[0]

    @property
    def prefix_token_id(self) -> int:
        return self.model.prefix_token

    @property
    def tokenizer_name(self) -> str:
        return self.model.path.replace("/", "__")

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        ids: list[int] = self.model.tokenizer.encode(string).tolist()
        return ids

    def _score(self, pairs: list[Pair], disable_tqdm: bool) -> list[octet.Score]:
        # As HFLM: the model sees max_length tokens, and the last one of the request is only predicted.
        cut = []
        for context, continuation in pairs:
            drop = max(0, len(context) + len(continuation) - self.max_length - 1)
            if drop >= len(context):
                raise ValueError(
                    f"a continuation of {len(continuation)} tokens leaves no context within "
                    f"max_length={self.max_length}"
                )
            cut.append((context[drop:], continuation))
        with tqdm(total=len(cut), disable=disable_tqdm, desc="Running loglikelihood requests") as bar:
            return self.model.score(cut, progress=lambda done, _: bar.update(done - bar.n))

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[tuple[str, str], list[int], list[int]]],
        disable_tqdm: bool = False,
        **kwargs: Any,
    ) -> list[tuple[float, bool]]:
        scores = self._score([(context, after) for _, context, after in requests], disable_tqdm)
        results = [(s.log_likelihood, s.is_greedy) for s in scores]
        for (texts, _, _), result in zip(requests, results):
            self.cache_hook.add_partial("loglikelihood", texts, result)
        return results

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        windows: list[Pair] = []
        owners = []
        for i, request in enumerate(requests):
            (text,) = request.args
            for window in utils.get_rolling_token_windows(
                token_list=self.tok_encode(text),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            ):
                windows.append(utils.make_disjoint_window(window))
                owners.append(i)
        totals = [0.0] * len(requests)
        for i, score in zip(owners, self._score(windows, disable_tqdm)):
            totals[i] += score.log_likelihood
        for request, total in zip(requests, totals):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        end = self.model.tokenizer.decode([self.eot_token_id])
        texts = []
        for request in tqdm(requests, disable=disable_tqdm, desc="Running generate_until requests"):
            context, arguments = request.args
            options = normalize_gen_kwargs(arguments, self.max_gen_toks)
            max_tokens = options["max_gen_toks"]
            room = self.max_length - max_tokens
            if room < 1:
                raise ValueError(
                    f"max_gen_toks={max_tokens} leaves no context within max_length={self.max_length}"
                )
            prompt = self.tok_encode(context)[-room:] or [self.prefix_token_id]
            written = self.model.generate(
                prompt,
                max_tokens=max_tokens,
                temperature=options.get("temperature", 1.0) if options["do_sample"] else 0.0,
                top_k=int(options.get("top_k") or 0),
                top_p=float(options.get("top_p") or 1.0),
                seed=int(options.get("seed") or 0),
                stop=[s for s in handle_stop_sequences(options["until"], eos=end) if s],
            )
            texts.append(written.text)
            self.cache_hook.add_partial("generate_until", request.args, written.text)
        return texts
