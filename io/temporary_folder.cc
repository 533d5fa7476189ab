#include "io/temporary_folder.h"

#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

namespace octet {
namespace {

namespace fs = std::filesystem;

enum class Owned : uint8_t { kFolder, kContent };

// What EndBySignal has to remove.
struct Registry {
  std::mutex mutex;
  std::map<std::string, Owned> paths;
};

// Never destroyed: a signal can come while the process exits.
Registry& Live() {
  static Registry* const registry = new Registry;
  return *registry;
}

void Remove(const std::string& path, Owned owned) {
  // Another thread may add a file between the listing and the removal.
  for (int attempt = 0; attempt < 10; ++attempt) {
    std::error_code error;
    if (owned == Owned::kFolder) {
      fs::remove_all(path, error);
    } else {
      for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
        fs::remove_all(it->path(), error);
      }
    }
    if (!error) return;
  }
}

Status CheckEmptyFolder(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    return IoError(path + ": " + std::strerror(error ? error.value() : ENOTDIR));
  }
  const bool empty = fs::is_empty(path, error);
  if (error) return IoError(path + ": " + error.message());
  return empty ? Status() : IoError(path + ": " + std::strerror(ENOTEMPTY));
}

// Registers a path once: two owners would both remove it. Under the lock.
Status Register(const std::string& path, Owned owned) {
  if (Live().paths.emplace(path, owned).second) return {};
  return IoError(path + ": is in use by this process already");
}

}  // namespace

Result<TemporaryFolder> TemporaryFolder::Create(const std::string& stem) {
  const std::lock_guard lock(Live().mutex);
  for (int attempt = 0;; ++attempt) {
    std::string path = stem + "-" + std::to_string(attempt);
    if (mkdir(path.c_str(), 0777) == 0) {
      Live().paths.emplace(path, Owned::kFolder);
      return TemporaryFolder(std::move(path));
    }
    if (errno != EEXIST) return IoError(stem + ": " + std::strerror(errno));
  }
}

Result<TemporaryFolder> TemporaryFolder::CreateAt(const std::string& path) {
  const std::lock_guard lock(Live().mutex);
  if (mkdir(path.c_str(), 0777) == 0) {
    OCTET_TRY(Register(path, Owned::kFolder));
    return TemporaryFolder(path);
  }
  if (errno != EEXIST) return IoError(path + ": " + std::strerror(errno));
  OCTET_TRY(CheckEmptyFolder(path));
  OCTET_TRY(Register(path, Owned::kContent));
  return TemporaryFolder(path);
}

Result<TemporaryFolder> TemporaryFolder::Adopt(const std::string& path) {
  const std::lock_guard lock(Live().mutex);
  OCTET_TRY(CheckEmptyFolder(path));
  OCTET_TRY(Register(path, Owned::kFolder));
  return TemporaryFolder(path);
}

Result<std::optional<TemporaryFolder>> TemporaryFolder::CreateNew(const std::string& path) {
  const std::lock_guard lock(Live().mutex);
  if (mkdir(path.c_str(), 0777) != 0) {
    if (errno == EEXIST) return std::optional<TemporaryFolder>();
    return IoError(path + ": " + std::strerror(errno));
  }
  Live().paths.emplace(path, Owned::kFolder);
  return std::optional(TemporaryFolder(path));
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TemporaryFolder::~TemporaryFolder() {
  if (path_.empty()) return;
  const std::lock_guard lock(Live().mutex);
  if (const auto entry = Live().paths.extract(path_); !entry.empty()) {
    Remove(path_, entry.mapped());
  }
}

Status TemporaryFolder::RenameTo(const std::string& target) {
  const std::lock_guard lock(Live().mutex);
  std::error_code error;
  fs::rename(path_, target, error);
  if (error) return IoError(target + ": " + error.message());
  Live().paths.erase(std::exchange(path_, {}));
  return {};
}

void TemporaryFolder::Keep() {
  const std::lock_guard lock(Live().mutex);
  Live().paths.erase(std::exchange(path_, {}));
}

void EndBySignal(int signal) {
  Live().mutex.lock();  // for good
  for (const auto& [path, owned] : Live().paths) {
    Remove(path, owned);
  }
  std::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  raise(signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::abort();  // `signal` does not end processes
}

}  // namespace octet
