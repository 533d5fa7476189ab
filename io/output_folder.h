// Output that appears whole or not at all.
#ifndef OCTET_IO_OUTPUT_FOLDER_H_
#define OCTET_IO_OUTPUT_FOLDER_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace octet {

// A folder under construction: files are written to a temporary sibling of `path`, which Commit
// renames into place and the destructor removes if Commit did not run.
class OutputFolder {
 public:
  // kInvalidArgument when `path` exists already and is not an empty folder; kIo when its parent
  // cannot be written.
  static Result<OutputFolder> Create(const std::string& path);
  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();

  // Path of `file` inside the folder under construction.
  std::string PathOf(std::string_view file) const;
  Status WriteFile(std::string_view file, std::string_view contents);
  Status CopyFile(const std::string& from, std::string_view file);
  // Flushes to disk and renames. After success the folder is at `path`.
  Status Commit();

 private:
  OutputFolder(std::string path, std::string temporary);
  std::string path_, temporary_;
};

}  // namespace octet
#endif  // OCTET_IO_OUTPUT_FOLDER_H_
