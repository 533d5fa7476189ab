"""llama.cpp as a peer: installed from PyPI below a work folder, its model files, its measurements.

The sdist of llama-cpp-python holds the sources of llama.cpp. In the work folder are python/
(packages from PyPI), peer/ (sources) and build/ (programs; build-ISA/ for one of ISAS).
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))
from report_common import Failed  # noqa: E402

VERSION = "0.3.36"  # of llama-cpp-python
PACKAGES = ("gguf==0.19.0", "numpy", "typing-extensions", "diskcache", "jinja2")
PROGRAMS = ("llama-bench", "llama-batched-bench", "llama-quantize")
KINDS = {"F32": "f32", "BF16": "bf16", "Q8_0": "w8", "Q4_0": "w4", "Q4_K_M": "w4"}
AVX2 = ("SSE42", "AVX", "AVX2", "FMA", "F16C", "BMI2")
AVX512 = ("AVX512", "AVX512_VBMI", "AVX512_VNNI", "AVX512_BF16")
# What llama.cpp may use beside Octet's instruction set of that name; otherwise all there is.
ISAS = {"avx2": AVX2, "avxvnni": (*AVX2, "AVX_VNNI"),
        "avx512vnni": (*AVX2, "AVX_VNNI", *AVX512)}
BATCH_PROMPT = 16  # tokens of each sequence before batched decoding


class Unreachable(Exception):
    """PyPI does not give what is needed."""


def last_line(text):
    return (text.strip().splitlines() or ["no output"])[-1]


def pip(*arguments):
    done = subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q",
                           *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise Unreachable((errors or [last_line(done.stderr)])[-1].removeprefix("ERROR: "))


def make_whole(path, write):
    """Calls write(path to write to) where nothing is at `path`; what it wrote, a file or a folder,
    appears there when it is complete."""
    if path.exists():
        return
    partial = path.with_name(path.name + ".unfinished")
    if partial.is_dir():
        shutil.rmtree(partial)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(partial)
    partial.rename(path)


def compiler(build):
    """First line of the --version of the C++ compiler that a CMake build folder uses, or ""."""
    cache = build / "CMakeCache.txt"
    found = cache.exists() and re.search(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", cache.read_text(), re.M)
    if not found:
        return ""
    done = subprocess.run([found[1], "--version"], capture_output=True, text=True)
    return done.stdout.split("\n")[0]


def loses_tile_configuration(version_line):
    """True for g++ before 13: its _tile_loadconfig reads 8 of 64 bytes, so that the stores of the
    others are dead to it, and the first AMX instruction faults."""
    found = re.search(r"(?:g\+\+|gcc|c\+\+).* (\d+)\.\d+\.\d+", version_line)
    return bool(found) and int(found[1]) < 13


class Peer:
    def __init__(self, work, version=VERSION, jobs=os.cpu_count(), isa=None):
        """isa: one of ISAS, or None for all that the processor has."""
        self.work, self.version, self.jobs, self.isa = work.resolve(), version, jobs, isa
        self.sources = self.work / "peer" / f"llama_cpp_python-{version}"
        self.llama = self.sources / "vendor" / "llama.cpp"
        self.build = self.work / ("build" if isa is None else f"build-{isa}")
        self.workaround = False

    def install(self):
        """Does what is not done yet. Raises Unreachable, Failed."""
        make_whole(self.work / "python",
                   lambda folder: pip("install", "--target", folder, *PACKAGES))
        if not self.llama.exists():
            self.fetch()
        self.configure()
        self.run("cmake", "--build", self.build, "--parallel", self.jobs, "--target", *PROGRAMS)

    def fetch(self):
        """The sources, which appear when they are complete."""
        pip("download", "--no-deps", "--no-binary", "llama-cpp-python", "--dest", self.work,
            f"llama-cpp-python=={self.version}")
        partial = self.work / "peer.unfinished"
        for stale in (partial, self.sources):
            shutil.rmtree(stale, ignore_errors=True)
        with tarfile.open(self.work / f"{self.sources.name}.tar.gz") as archive:
            # Pythons before 3.11.4 have no filter.
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(partial, **safe)
        self.sources.parent.mkdir(exist_ok=True)
        (partial / self.sources.name).rename(self.sources)
        partial.rmdir()

    def configure(self):
        isa = ["-DGGML_NATIVE=ON"] if self.isa is None else [
            "-DGGML_NATIVE=OFF", *(f"-DGGML_{flag}=ON" for flag in ISAS[self.isa])]
        self.run("cmake", "-S", self.llama, "-B", self.build, "-DCMAKE_BUILD_TYPE=Release",
                 *isa, "-DBUILD_SHARED_LIBS=ON", "-DLLAMA_CURL=OFF",
                 "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_TOOLS=ON",
                 "-DLLAMA_BUILD_SERVER=OFF")
        self.workaround = loses_tile_configuration(compiler(self.build))
        line = ('set_source_files_properties(ggml-cpu/amx/mmq.cpp PROPERTIES COMPILE_OPTIONS '
                '"-fno-tree-dse;-fno-dse")\n')
        file = self.llama / "ggml" / "src" / "CMakeLists.txt"
        if self.workaround and line not in file.read_text():
            with file.open("a") as f:
                f.write("\n" + line)

    def run(self, *command):
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                  env=self.environment())
        except FileNotFoundError:
            raise Failed(f"{command[0]} is not installed") from None
        if done.returncode != 0:
            why = last_line(done.stdout + done.stderr)
            raise Failed(f"{pathlib.Path(command[0]).name} failed ({done.returncode}): {why}")
        return done.stdout

    def environment(self):
        paths = [str(self.work / "python"), str(self.sources)]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths),
                "LLAMA_CPP_LIB_PATH": str(self.build / "bin")}

    def program(self, name):
        return self.build / "bin" / name

    def write_gguf(self, folder, output, kind):
        """A model file of a format of KINDS from a folder in the format of Hugging Face; F32 stays
        beside it. In a process of its own: what this one holds counts as memory of its children."""
        full = output.with_name("F32.gguf")
        make_whole(full, lambda file: self.run(
            sys.executable, HERE / "gguf_mamba.py", folder, file))
        make_whole(output, lambda file: self.run(
            self.program("llama-quantize"), full, file, kind, self.jobs))

    def nll(self, model, tokens):
        """What llama_cpp_nll.py prints."""
        return json.loads(self.run(sys.executable, HERE / "llama_cpp_nll.py", model, tokens))

    def commit(self):
        info = (self.build / "common" / "build-info.cpp").read_text()
        found = re.search(r'COMMIT\s*=\s*"(\w+)', info)
        return found[1] if found else "unknown"

    def speed_command(self, model, prompt, decode, threads):
        """A prompt and single tokens, each from an empty state, after a warm-up; 0: not."""
        return [self.program("llama-bench"), "-m", model, "-p", prompt, "-n", decode, "-t", threads,
                "-r", 1, "-o", "json"]

    def batch_command(self, model, batches, decode, threads):
        """Decoding of several sequences at once."""
        return [self.program("llama-batched-bench"), "-m", model, "-c",
                max(batches) * (BATCH_PROMPT + decode), "-b", 2048, "-ub", 512, "-npp",
                BATCH_PROMPT, "-ntg", decode, "-npl", ",".join(map(str, batches)), "-t", threads,
                "-tb", threads, "--output-format", "jsonl"]


def parse_speed(text):
    """{"pp512": tokens/s, ...} of what llama-bench prints."""
    return {f"pp{t['n_prompt']}" if t["n_prompt"] else f"tg{t['n_gen']}": t["avg_ts"]
            for t in json.loads(text)}


def parse_batch(text):
    """{"tg64 b8": tokens/s of all sequences together, ...} of what llama-batched-bench prints."""
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return {f"tg{r['tg']} b{r['pl']}": r["speed_tg"] for r in rows}
