// A file's bytes as read-only memory.
#ifndef OCTET_IO_MMAP_H_
#define OCTET_IO_MMAP_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace octet {

// A whole regular file, mapped when opened and unmapped with the last pointer to it. The file must
// not shrink meanwhile: the system would end the program (SIGBUS) on access beyond its new end.
class FileMapping {
 public:
  // Errors start with `path`: kNotFound when it does not exist, kCorrupt when it is empty or no
  // regular file, kIo when the system refuses.
  static Result<std::shared_ptr<const FileMapping>> Open(const std::string& path);
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;
  ~FileMapping();

  // At least one byte; page aligned.
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit FileMapping(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

}  // namespace octet
#endif  // OCTET_IO_MMAP_H_
