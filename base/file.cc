#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace octet {
namespace {

Result<std::string> ReadDescriptor(int fd, int64_t max_bytes) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return IoError(std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return InvalidArgument("not a regular file");
  if (info.st_size > max_bytes) {
    return TooLarge(std::to_string(info.st_size) + " bytes, more than the limit of " +
                    std::to_string(max_bytes));
  }
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = read(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(std::strerror(errno));
    if (n == 0) break;  // somebody has shortened the file
    done += static_cast<size_t>(n);
  }
  text.resize(done);
  return text;
}

}  // namespace

Result<std::string> ReadWholeFile(const std::string& path, int64_t max_bytes) {
  // O_NONBLOCK: opening a pipe must fail the check above, not wait for a writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    const std::string message = path + ": " + std::strerror(error);
    return error == ENOENT || error == ENOTDIR ? NotFound(message) : IoError(message);
  }
  Result<std::string> text = ReadDescriptor(fd, max_bytes);
  close(fd);
  if (!text.ok()) return text.status().Annotate(path);
  return text;
}

void ForgetPages(std::span<const std::byte> mapped) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(mapped.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(mapped.data() + mapped.size()) / page * page;
  // A failure costs memory, nothing else.
  if (begin < end) {
    (void)madvise(reinterpret_cast<void*>(begin), end - begin,
                  MADV_DONTNEED);  // NOLINT(performance-no-int-to-ptr)
  }
}

}  // namespace octet
