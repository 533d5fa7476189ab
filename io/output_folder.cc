#include "io/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
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
  const std::string stem = fmt::format("{}/.{}.partial-{}", target.parent_path().string(),
                                       target.filename().string(), getpid());
  for (int attempt = 0;; ++attempt) {
    std::string temporary = fmt::format("{}-{}", stem, attempt);
    if (mkdir(temporary.c_str(), 0777) == 0) {
      return OutputFolder(target.string(), std::move(temporary));
    }
    if (errno != EEXIST) return IoError(temporary + ": " + std::strerror(errno));
  }
}

OutputFolder::OutputFolder(std::string path, std::string temporary)
    : path_(std::move(path)), temporary_(std::move(temporary)) {}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, {})) {}

OutputFolder::~OutputFolder() {
  if (temporary_.empty()) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

std::string OutputFolder::PathOf(std::string_view file) const {
  return (fs::path(temporary_.empty() ? path_ : temporary_) / file).string();
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
  std::error_code error;
  for (fs::directory_iterator it(temporary_, error), end; !error && it != end;
       it.increment(error)) {
    OCTET_TRY(Sync(it->path()));
  }
  if (error) return IoError(temporary_ + ": " + error.message());
  OCTET_TRY(Sync(temporary_));
  fs::rename(temporary_, path_, error);
  if (error) return IoError(path_ + ": " + error.message());
  temporary_.clear();
  return Sync(fs::path(path_).parent_path());
}

}  // namespace octet
