// Output that appears whole or not at all.
#ifndef OCTET_IO_OUTPUT_FOLDER_H_
#define OCTET_IO_OUTPUT_FOLDER_H_

#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "io/temporary_folder.h"

namespace octet {

// A folder under construction: files are written to a temporary sibling of `path`, which Commit
// renames into place. Without Commit the destructor removes it, or EndBySignal, or, after a crash,
// the next Create for the same path.
class OutputFolder {
 public:
  // kInvalidArgument when `path` exists already and is not an empty folder or its parent does not
  // exist; kIo when the parent cannot be written.
  static Result<OutputFolder> Create(const std::string& path);

  // Path of `file` inside the folder under construction.
  std::string PathOf(std::string_view file) const;
  Status WriteFile(std::string_view file, std::string_view contents);
  Status CopyFile(const std::string& from, std::string_view file);
  // Flushes to disk and renames. After success the folder is at `path`.
  Status Commit();

 private:
  OutputFolder(std::string path, TemporaryFolder temporary)
      : path_(std::move(path)), temporary_(std::move(temporary)) {}
  std::string path_;
  TemporaryFolder temporary_;
};

}  // namespace octet
#endif  // OCTET_IO_OUTPUT_FOLDER_H_
