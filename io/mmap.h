// A file's bytes as read-only memory.
#ifndef OCTET_IO_MMAP_H_
#define OCTET_IO_MMAP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

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

// A file of fixed size as memory to write to; what is written there is the file's content, and the
// page cache's, not the program's own memory. Unmapped, but not removed, by the destructor.
class WritableMapping {
 public:
  // A new file of `bytes` zeros, replacing what was there; `bytes` is at least 1. kIo, naming
  // `path`, also when the disk has no room for it.
  static Result<std::shared_ptr<WritableMapping>> Create(const std::string& path, int64_t bytes);
  // An existing file; kCorrupt, naming `path`, when it does not have that size.
  static Result<std::shared_ptr<WritableMapping>> Open(const std::string& path, int64_t bytes);
  WritableMapping(const WritableMapping&) = delete;
  WritableMapping& operator=(const WritableMapping&) = delete;
  ~WritableMapping();

  std::span<std::byte> bytes() const { return bytes_; }  // page aligned
  // Everything written so far is on the disk afterwards.
  Status Flush() const;

 private:
  WritableMapping(std::string path, std::span<std::byte> bytes)
      : path_(std::move(path)), bytes_(bytes) {}
  static Result<std::shared_ptr<WritableMapping>> Map(const std::string& path, int flags,
                                                      int64_t bytes);
  std::string path_;
  std::span<std::byte> bytes_;
};

}  // namespace octet
#endif  // OCTET_IO_MMAP_H_
