# Sourced by quickstart and test: Debian packages, configuring, building. POSIX sh.
# The sourcing script has changed into the repository's root.

# What the library and the program need.
BUILD_PACKAGES="g++ cmake ninja-build pkg-config nlohmann-json3-dev libcli11-dev libfmt-dev \
libtbb-dev libhwy-dev libdnnl-dev libutf8proc-dev zlib1g-dev"
TEST_PACKAGES="libgtest-dev libgmock-dev librapidcheck-dev libpcre2-dev"
# What tools/count_instructions runs.
COUNT_PACKAGES="python3 valgrind"
# What tools/test_python builds and runs; the rest is from PyPI.
PYTHON_PACKAGES="python3 python3-dev python3-venv"
# What tests/browser/run opens pages with.
BROWSER_PACKAGES="python3 chromium fonts-dejavu-core"
# Compilers and emulators that run exported C as tests/microcontrollers does.
MICROCONTROLLER_PACKAGES="python3 gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm clang-14 \
qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-i686-linux-gnu libc6-dev-i386-cross \
gcc-powerpc-linux-gnu libc6-dev-powerpc-cross"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
  RED=$(printf '\033[31m') GREEN=$(printf '\033[32m') YELLOW=$(printf '\033[33m')
  PLAIN=$(printf '\033[0m')
else
  RED='' GREEN='' YELLOW='' PLAIN=''
fi

say() { printf '%s\n' "$*"; }

fail() {
  printf '%s\n' "${RED}$*${PLAIN}" >&2
  exit 1
}

# missing_packages NAME...: prints those that are not installed; nothing where there is no dpkg,
# since CMake then says what it lacks.
missing_packages() {
  command -v dpkg-query >/dev/null || return 0
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      printf '%s ' "$package"
  done
}

# apt_line NAME...: the command for a person to type.
apt_line() {
  sudo="sudo "
  [ "$(id -u)" != 0 ] || sudo=
  say "${sudo}apt-get update && ${sudo}apt-get install --no-install-recommends -y $(echo $*)"
}

# Prints the command to put before NAME=value apt-get; fails when this user has no way to install.
apt_prefix() {
  if [ "$(id -u)" = 0 ]; then
    echo env
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    echo sudo -n env
  else
    return 1
  fi
}

# try_install NAME...: true when the packages are there afterwards. Never asks.
try_install() {
  [ "${NO_INSTALL:-0}" = 0 ] || return 1
  command -v apt-get >/dev/null || return 1
  prefix=$(apt_prefix) || return 1
  log=$(mktemp) || return 1
  say "Installing from Debian: $(echo $*)"
  $prefix DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >"$log" 2>&1 || true
  if $prefix DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" \
    </dev/null >>"$log" 2>&1; then
    rm -f "$log"
    return 0
  fi
  tail -n 5 "$log" >&2
  rm -f "$log"
  return 1
}

# need_packages NAME...: installs what is missing or stops, saying what to type.
need_packages() {
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  try_install $missing || fail "These Debian packages are missing; install them and start again:
  $(apt_line $missing)"
}

cores() { nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1; }

# configure PRESET [-D...]: quiet unless it fails.
configure() {
  preset=$1
  shift
  cache=build/$preset/CMakeCache.txt
  # A tree that was moved or copied: CMake refuses its own old cache.
  if [ -f "$cache" ] && ! grep -qFx "CMAKE_HOME_DIRECTORY:INTERNAL=$(pwd -P)" "$cache"; then
    set -- --fresh "$@"
  fi
  mkdir -p "build/$preset"
  cmake --preset "$preset" "$@" </dev/null >"build/$preset/configure.log" 2>&1 || {
    cat "build/$preset/configure.log" >&2
    return 1
  }
}

# build PRESET [TARGET...]: one line of progress; the log only when it fails.
build() {
  preset=$1
  shift
  log=build/$preset/build.log
  # The parts of a pipe run apart, so the exit status travels in a file.
  {
    cmake --build "build/$preset" -j "$(cores)" ${1:+--target "$@"} </dev/null 2>&1
    echo $? >"$log.status"
  } | tee "$log" | progress "$preset"
  status=$(cat "$log.status")
  rm -f "$log.status"
  [ "$status" = 0 ] || tail -n 60 "$log" >&2
  return "$status"
}

# Turns ninja's [n/m] lines into one line that is overwritten; nothing without a terminal.
progress() {
  if [ ! -t 1 ]; then
    cat >/dev/null
    return
  fi
  while IFS= read -r line; do
    case $line in
      \[[0-9]*/*\]*) printf '\rBuilding %s %s]\033[K' "$1" "${line%%]*}" ;;
    esac
  done
  printf '\r\033[K'
}

# The Python that Debian's python3-numpy belongs to may not be the first on PATH.
python_with_numpy() {
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import numpy' >/dev/null 2>&1; then break; fi
  done
  say "$python"
}
