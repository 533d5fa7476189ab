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

}  // namespace octet
