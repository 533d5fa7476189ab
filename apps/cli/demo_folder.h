// Where the demonstration writes its models.
#ifndef OCTET_APPS_CLI_DEMO_FOLDER_H_
#define OCTET_APPS_CLI_DEMO_FOLDER_H_

#include <string>

#include "base/status.h"

namespace octet::cli {

// A folder that disappears with this object, unless kept.
class DemoFolder {
 public:
  // `path` (must not exist or be empty), or a new temporary folder when it is "".
  static Result<DemoFolder> Create(const std::string& path);
  DemoFolder(DemoFolder&& other) noexcept;
  DemoFolder& operator=(DemoFolder&&) = delete;
  ~DemoFolder();

  std::string PathOf(const std::string& name) const { return path_ + "/" + name; }
  void Keep() { remove_ = false; }

 private:
  explicit DemoFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
  bool remove_ = true;
};

// models/books-mamba2-5m under the current folder or under a parent of the program's; kNotFound
// otherwise.
Result<std::string> FindDemoModel();

// How a person would start this program from the current folder.
std::string ProgramName();

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_DEMO_FOLDER_H_
