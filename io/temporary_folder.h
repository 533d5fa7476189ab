// Folders that do not outlive the work that fills them.
#ifndef OCTET_IO_TEMPORARY_FOLDER_H_
#define OCTET_IO_TEMPORARY_FOLDER_H_

#include <optional>
#include <string>
#include <utility>

#include "base/status.h"

namespace octet {

// A folder that disappears, with all in it, when this object does or when EndBySignal runs.
class TemporaryFolder {
 public:
  // Makes the folder `stem`-N for the first N from 0 that is free. kIo, starting with `stem`, when
  // the system refuses.
  static Result<TemporaryFolder> Create(const std::string& stem);
  // Makes the folder `path`, or fills an empty one, which then is emptied but stays. Its parent
  // must exist.
  static Result<TemporaryFolder> CreateAt(const std::string& path);
  // Takes over the folder `path`, which must be empty.
  static Result<TemporaryFolder> Adopt(const std::string& path);
  // Makes the folder `path`; nothing when something is there already.
  static Result<std::optional<TemporaryFolder>> CreateNew(const std::string& path);
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();

  // "" once the folder is renamed or kept.
  const std::string& path() const { return path_; }
  // From here on the folder is an ordinary one, under the name `target`. kIo otherwise, and the
  // folder stays temporary.
  Status RenameTo(const std::string& target);
  void Keep();

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Ends the process by `signal`, as its default action does, after all temporary folders are
// removed. Takes locks, so not for a signal handler: for a thread that waits for the signal. Other
// threads that then create, rename or remove one wait for the end.
[[noreturn]] void EndBySignal(int signal);

}  // namespace octet
#endif  // OCTET_IO_TEMPORARY_FOLDER_H_
