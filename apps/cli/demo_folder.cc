#include "apps/cli/demo_folder.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "io/output_folder.h"

namespace octet::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDemoModel = "models/books-mamba2-5m";

fs::path ProgramPath() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error);
}

}  // namespace

Result<TemporaryFolder> CreateDemoFolder(const std::string& path) {
  if (!path.empty()) {
    OCTET_TRY(OutputFolder::Create(path).status());
    return TemporaryFolder::CreateAt(path);
  }
  return CreateSystemTemporaryFolder("demo");
}

Result<TemporaryFolder> CreateSystemTemporaryFolder(const std::string& what) {
  std::error_code error;
  const fs::path base = fs::temp_directory_path(error);
  if (error) return IoError("the folder for temporary files: " + error.message());
  return TemporaryFolder::Create((base / fmt::format("octet-{}-{}", what, getpid())).string());
}

Result<std::string> FindDemoModel() {
  std::error_code error;
  if (fs::is_directory(kDemoModel, error)) return std::string(kDemoModel);
  for (fs::path p = ProgramPath(); p.has_relative_path(); p = p.parent_path()) {
    const fs::path model = p.parent_path() / kDemoModel;
    if (fs::is_directory(model, error)) return model.string();
  }
  return NotFound(std::string(kDemoModel) +
                  ": not found here nor beside the program; name a model folder");
}

std::string ProgramName() {
  std::error_code error;
  const fs::path path = fs::proximate(ProgramPath(), error);
  return error || path.empty() ? "octet" : path.string();
}

}  // namespace octet::cli
