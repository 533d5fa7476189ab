"""Where the tests find models, the program `octet` and a quantized model."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import octet

ROOT = Path(__file__).resolve().parents[2]
MAMBA2 = ROOT / "models" / "books-mamba2-5m"
MAMBA = ROOT / "models" / "books-mamba-5m"
DIGITS = ROOT / "models" / "digits-s4d-16h"


@pytest.fixture(scope="session")
def text() -> str:
    """English that the shipped models can make something of."""
    return (ROOT / "LICENSE").read_text()


@pytest.fixture(scope="session")
def program() -> str:
    """Path of the program octet."""
    path = os.environ.get("OCTET_BIN", str(ROOT / "build" / "release" / "octet"))
    assert os.access(path, os.X_OK), f"{path} is not built; OCTET_BIN may name another"
    return path


@pytest.fixture(scope="session")
def quantized(program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Mamba-2 model with an int8 SSD."""
    output = tmp_path_factory.mktemp("models") / "w8a8"
    command = [program, "quantize", str(MAMBA2), "--recipe", "ssdi8-plus-w8a8", "--samples", "4"]
    subprocess.run([*command, "--output", str(output)], check=True, capture_output=True)
    return output


@pytest.fixture(scope="session", params=["mamba2", "mamba", "quantized"])
def folder(request: pytest.FixtureRequest) -> Path:
    """The folder of each kind of model in turn."""
    if request.param == "quantized":
        path: Path = request.getfixturevalue("quantized")
        return path
    return MAMBA2 if request.param == "mamba2" else MAMBA


@pytest.fixture(scope="session")
def each_model(folder: Path) -> octet.Model:
    """Each kind of model in turn."""
    return octet.load(folder)


@pytest.fixture(scope="session")
def model() -> octet.Model:
    """The float Mamba-2 model."""
    return octet.load(MAMBA2)
