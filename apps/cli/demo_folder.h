// The folders that the demonstration reads and writes.
#ifndef OCTET_APPS_CLI_DEMO_FOLDER_H_
#define OCTET_APPS_CLI_DEMO_FOLDER_H_

#include <string>

#include "base/status.h"
#include "io/temporary_folder.h"

namespace octet::cli {

// Where the demonstration writes: `path` (must not exist or be empty; its parent must exist), or a
// new folder among the temporary ones of the system when it is "".
Result<TemporaryFolder> CreateDemoFolder(const std::string& path);

// A new folder "octet-<what>-N" among the temporary ones of the system.
Result<TemporaryFolder> CreateSystemTemporaryFolder(const std::string& what);

// models/books-mamba2-5m under the current folder or under a parent of the program's; kNotFound
// otherwise.
Result<std::string> FindDemoModel();

// How a person would start this program from the current folder.
std::string ProgramName();

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_DEMO_FOLDER_H_
