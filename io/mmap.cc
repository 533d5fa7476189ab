#include "io/mmap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace octet {
namespace {

Result<std::span<const std::byte>> Map(int fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return IoError(std::strerror(errno));
  if (S_ISDIR(info.st_mode)) return Corrupt("is a folder, not a file");
  if (!S_ISREG(info.st_mode)) return Corrupt("not a regular file");
  if (info.st_size == 0) return Corrupt("the file is empty");
  const auto size = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return IoError(std::strerror(errno));
  return std::span(static_cast<const std::byte*>(data), size);
}

}  // namespace

Result<std::shared_ptr<const FileMapping>> FileMapping::Open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must be refused by Map, not wait for a writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    const bool absent = error == ENOENT || error == ENOTDIR;
    return Status(absent ? Code::kNotFound : Code::kIo, path + ": " + std::strerror(error));
  }
  const Result<std::span<const std::byte>> bytes = Map(fd);
  close(fd);
  if (!bytes.ok()) return bytes.status().Annotate(path);
  return std::shared_ptr<const FileMapping>(new FileMapping(*bytes));
}

FileMapping::~FileMapping() {
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<std::shared_ptr<WritableMapping>> WritableMapping::Map(const std::string& path, int flags,
                                                              int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  const int fd = open(path.c_str(), flags | O_RDWR | O_CLOEXEC, 0666);
  if (fd < 0) return IoError(path + ": " + std::strerror(errno));
  struct stat info = {};
  int error = 0;
  // Without the room reserved, a full disk would be a signal in the middle of a computation.
  if ((flags & O_CREAT) != 0) error = posix_fallocate(fd, 0, bytes);
  if (error == 0 && fstat(fd, &info) != 0) error = errno;
  void* data = MAP_FAILED;
  if (error == 0 && info.st_size == bytes) {
    data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) error = errno;
  }
  close(fd);
  if (error != 0) return IoError(path + ": " + std::strerror(error));
  if (data == MAP_FAILED) return Corrupt(path + ": does not have the size that it was left with");
  return std::shared_ptr<WritableMapping>(
      new WritableMapping(path, std::span(static_cast<std::byte*>(data), size)));
}

Result<std::shared_ptr<WritableMapping>> WritableMapping::Create(const std::string& path,
                                                                 int64_t bytes) {
  return Map(path, O_CREAT | O_TRUNC, bytes);
}

Result<std::shared_ptr<WritableMapping>> WritableMapping::Open(const std::string& path,
                                                               int64_t bytes) {
  return Map(path, 0, bytes);
}

Status WritableMapping::Flush() const {
  if (msync(bytes_.data(), bytes_.size(), MS_SYNC) == 0) return {};
  return IoError(path_ + ": " + std::strerror(errno));
}

WritableMapping::~WritableMapping() {
  munmap(bytes_.data(), bytes_.size());
}

}  // namespace octet
