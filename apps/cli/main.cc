// The command line program: chooses the command, maps errors to exit codes.
#include <csignal>
#include <exception>
#include <new>
#include <variant>

#include "apps/cli/commands.h"
#include "apps/cli/interrupt.h"
#include "apps/cli/term.h"
#include "kernels/isa.h"

namespace octet::cli {
namespace {

int ExitCode(const Status& s) {
  switch (s.code()) {
    case Code::kOk:
      return 0;
    case Code::kIo:
    case Code::kInternal:
      return 1;
    case Code::kQualityGate:
      return 4;
    default:
      return 2;
  }
}

Status Main(int argc, const char* const* argv) {
  OCTET_TRY(ForceIsaFromEnvironment());
  OCTET_ASSIGN(const Command command, ParseCommandLine(argc, argv));
  OCTET_TRY(std::visit([](const auto& c) { return Run(c); }, command));
  return Flush();
}

}  // namespace
}  // namespace octet::cli

int main(int argc, char** argv) {
  // A file that reaches the size limit is an error like a full disk, not the end of the program.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);  // Print and Flush end the program, temporary folders removed
  octet::Status status;
  try {
    octet::cli::CleanUpOnSignals();
    status = octet::cli::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    status = octet::Internal("out of memory");
  } catch (const std::exception& e) {
    status = octet::Internal(e.what());
  }
  if (!status.ok()) octet::cli::PrintError(status.message());
  return octet::cli::ExitCode(status);
}
