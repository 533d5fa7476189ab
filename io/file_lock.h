// One run at a time.
#ifndef OCTET_IO_FILE_LOCK_H_
#define OCTET_IO_FILE_LOCK_H_

#include <string>

#include "base/status.h"

namespace octet {

// While it lives, no other process, and no other FileLock of this one, has the same lock. It is a
// file that the destructor removes; after a crash it is left, and locks nothing.
class FileLock {
 public:
  // kInvalidArgument when another run has it, kIo when the file cannot be made.
  static Result<FileLock> Take(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  FileLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;
};

}  // namespace octet
#endif  // OCTET_IO_FILE_LOCK_H_
