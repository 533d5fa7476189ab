// A file that appears whole or not at all.
#ifndef OCTET_IO_FILE_WRITER_H_
#define OCTET_IO_FILE_WRITER_H_

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"

namespace octet {

// Writes to `path` + ".partial", which Commit renames to `path`, replacing what was there, and
// which the destructor removes if Commit did not succeed. Errors start with `path` and are kIo, but
// kInvalidArgument of Create where the folder of `path` does not exist.
class FileWriter {
 public:
  static Result<FileWriter> Create(const std::string& path);
  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();

  Status Write(std::span<const std::byte> bytes);
  // Flushes to disk and renames; the last call.
  Status Commit();

 private:
  FileWriter(std::string path, std::string partial, int fd);
  Status Fail(int error) const;

  std::string path_, partial_;
  int fd_ = -1;
};

}  // namespace octet
#endif  // OCTET_IO_FILE_WRITER_H_
