"""Adds ``octet`` to the models of lm-evaluation-harness once its models are imported.

The harness (0.4.13) has a registry with lazy entries but no plugins, so octet_lm_eval.pth imports this
module when Python starts. It waits for ``lm_eval.models`` and imports nothing else by itself.
"""

from __future__ import annotations

import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Sequence


class _Registering(Loader):
    """The module's own loader, and the entry of the registry after it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:  # what else the loader offers, such as its sources
        if name == "_loader":  # not set yet: a copy that is being made
            raise AttributeError(name)
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        try:
            from lm_eval.api.registry import model_registry

            if "octet" not in model_registry:
                model_registry.register("octet", target="octet.lm_eval:OctetLM")
        except Exception as e:  # the harness's other models must work
            warnings.warn(f"octet is not registered as a model of lm_eval: {e}")


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "lm_eval.models":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
