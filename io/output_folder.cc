#include "io/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "io/file_writer.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

Status CheckName(std::string_view file) {
  if (file.empty() || file == "." || file == ".." || file.find('/') != file.npos) {
    return InvalidArgument(fmt::format("\"{}\" is not a plain file name", file));
  }
  return {};
}

Status Sync(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int error = fd < 0 || fsync(fd) != 0 ? errno : 0;
  if (fd >= 0) close(fd);
  return error == 0 ? Status() : IoError(path.string() + ": " + std::strerror(error));
}

// Removes folders PREFIX<process>-<n> in `parent` of processes that a crash or a SIGKILL ended.
void RemoveAbandoned(const fs::path& parent, const std::string& prefix) {
  std::error_code error;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    pid_t process = 0;
    const char* const last = name.data() + name.size();
    const auto [rest, bad] = std::from_chars(name.data() + prefix.size(), last, process);
    if (bad != std::errc() || rest == last || *rest != '-' || process <= 0) continue;
    if (kill(process, 0) == 0 || errno != ESRCH) continue;
    std::error_code ignored;
    fs::remove_all(it->path(), ignored);
  }
}

}  // namespace

Result<OutputFolder> OutputFolder::Create(const std::string& path) {
  if (path.empty()) return InvalidArgument("the output folder has no name");
  std::error_code error;
  fs::path target = fs::absolute(path, error).lexically_normal();
  if (error) return IoError(path + ": " + error.message());
  if (!target.has_filename()) target = target.parent_path();
  const fs::file_status status = fs::symlink_status(target, error);
  if (fs::exists(status)) {
    // A link would be replaced by the rename, not followed.
    if (!fs::is_directory(status)) return InvalidArgument(path + ": exists and is not a folder");
    const bool empty = fs::is_empty(target, error);
    if (error) return IoError(path + ": " + error.message());
    if (!empty) return InvalidArgument(path + ": the folder exists and is not empty");
  }
  const fs::path parent = target.parent_path();
  if (!fs::is_directory(parent, error)) {
    return InvalidArgument(
        fmt::format("{}: the parent folder {} does not exist", path, parent.string()));
  }
  const std::string prefix = fmt::format(".{}.partial-", target.filename().string());
  RemoveAbandoned(parent, prefix);
  Result<TemporaryFolder> folder =
      TemporaryFolder::Create((parent / fmt::format("{}{}", prefix, getpid())).string());
  // The person knows the path that they gave, not the temporary one.
  if (!folder.ok())
    return IoError(fmt::format("{}: the folder {} cannot be written", path, parent.string()));
  return OutputFolder(target.string(), *std::move(folder));
}

std::string OutputFolder::PathOf(std::string_view file) const {
  return (fs::path(temporary_.path().empty() ? path_ : temporary_.path()) / file).string();
}

Status OutputFolder::WriteFile(std::string_view file, std::string_view contents) {
  OCTET_TRY(CheckName(file));
  OCTET_ASSIGN(FileWriter writer, FileWriter::Create(PathOf(file)));
  OCTET_TRY(writer.Write(std::as_bytes(std::span(contents))));
  return writer.Commit();
}

Status OutputFolder::CopyFile(const std::string& from, std::string_view file) {
  OCTET_TRY(CheckName(file));
  std::error_code error;
  fs::copy_file(from, PathOf(file), fs::copy_options::overwrite_existing, error);
  if (!error) return {};
  const bool absent = error == std::errc::no_such_file_or_directory;
  return {absent ? Code::kNotFound : Code::kIo,
          from + ": cannot copy to " + PathOf(file) + ": " + error.message()};
}

Status OutputFolder::Commit() {
  const std::string folder = temporary_.path();
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    OCTET_TRY(Sync(it->path()));
  }
  if (error) return IoError(folder + ": " + error.message());
  OCTET_TRY(Sync(folder));
  OCTET_TRY(temporary_.RenameTo(path_));
  return Sync(fs::path(path_).parent_path());
}

}  // namespace octet
