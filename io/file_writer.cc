#include "io/file_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace octet {

Result<FileWriter> FileWriter::Create(const std::string& path) {
  std::string partial = path + ".partial";
  const int fd = open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
    std::error_code ignored;
    const std::filesystem::path parent = std::filesystem::absolute(path, ignored).parent_path();
    if (std::filesystem::is_directory(parent, ignored)) {
      return InvalidArgument(
          fmt::format("{}: cannot be written: {} takes no new files", path, parent.string()));
    }
    return InvalidArgument(
        fmt::format("{}: the parent folder {} does not exist", path, parent.string()));
  }
  if (fd < 0) return IoError(path + ": " + std::strerror(errno));
  return FileWriter(path, std::move(partial), fd);
}

FileWriter::FileWriter(std::string path, std::string partial, int fd)
    : path_(std::move(path)), partial_(std::move(partial)), fd_(fd) {}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::exchange(other.partial_, {})),
      fd_(std::exchange(other.fd_, -1)) {}

FileWriter::~FileWriter() {
  if (fd_ >= 0) close(fd_);
  if (!partial_.empty()) unlink(partial_.c_str());
}

Status FileWriter::Fail(int error) const {
  return IoError(path_ + ": " + std::strerror(error));
}

Status FileWriter::Write(std::span<const std::byte> bytes) {
  // Linux writes at most 2 GiB at once.
  constexpr size_t kChunk = size_t{1} << 30;
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), std::min(bytes.size(), kChunk));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Status FileWriter::Commit() {
  if (fsync(fd_) != 0) return Fail(errno);
  // Some file systems report a full disk only here.
  if (close(std::exchange(fd_, -1)) != 0) return Fail(errno);
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) return Fail(errno);
  partial_.clear();
  return {};
}

}  // namespace octet
