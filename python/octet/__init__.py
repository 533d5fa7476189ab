"""Octet: quantized state space models (Mamba, Mamba-2) on CPUs.

    import octet

    model = octet.load("models/books-mamba2-5m")
    print(model.generate("It was a dark night", max_tokens=40).text)

A folder that ``octet quantize`` has written loads like a float one. See `Model` for text and its
log-likelihoods, `Session` for streams whose state can be kept, copied and saved.

Errors are one sentence: `ValueError` for bad input, which includes files that are damaged or of
another kind, `OSError` for what the system refuses, `RuntimeError` for a model that computes
numbers that are not finite.
"""

from octet._model import Generation, Model, Perplexity, Score, load
from octet._octet import version as _version
from octet._sampler import Sampler
from octet._session import Session, State
from octet._tokenizer import StreamDecoder, Tokenizer
from octet._types import Floats, Ids, Tokens

__version__ = _version()

__all__ = [
    "Floats",
    "Generation",
    "Ids",
    "Model",
    "Perplexity",
    "Sampler",
    "Score",
    "Session",
    "State",
    "StreamDecoder",
    "Tokenizer",
    "Tokens",
    "__version__",
    "load",
]
