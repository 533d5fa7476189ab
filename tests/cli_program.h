// Running the built program, for tests: its output, error and exit code, in a folder of its own.
#ifndef OCTET_TESTS_CLI_PROGRAM_H_
#define OCTET_TESTS_CLI_PROGRAM_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"

namespace octet {

inline constexpr const char* kBooks = "models/books-mamba2-5m";

struct Outcome {
  int exit_code = -1;  // 128 + signal when one ended the program
  std::string out, err;
};

inline std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteAll(const std::filesystem::path& path, const std::string& contents) {
  std::ofstream(path, std::ios::binary) << contents;
}

// OCTET_BIN of the environment, or the program of this build.
inline std::string Program() {
  const char* given = std::getenv("OCTET_BIN");
  return given != nullptr ? given : OCTET_BIN;
}

// Whether a child of this process has ended; that stays to be waited for.
inline bool HasEnded(pid_t child) {
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT);
  return info.si_pid != 0;
}

// Waits until `reached`, however long that takes; false when the child ended before it.
inline bool WaitUntil(pid_t child, const std::function<bool()>& reached) {
  while (!reached()) {
    if (HasEnded(child)) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

class CliTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "octet-cli-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    std::filesystem::create_directory(folder_ / "io");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string PathOf(const std::string& name) const { return (folder_ / name).string(); }

  // Runs a program with `args` (args[0] is its path) and `input` as standard input, and `meanwhile`
  // with its process id.
  Outcome Execute(const std::vector<std::string>& args, const std::string& input = "",
                  const std::function<void(pid_t)>& meanwhile = {}) const {
    const std::filesystem::path in = folder_ / "io/in", out = folder_ / "io/out",
                                err = folder_ / "io/err";
    WriteAll(in, input);
    std::vector<char*> argv;
    for (const std::string& a : args) {
      argv.push_back(const_cast<char*>(a.c_str()));
    }
    argv.push_back(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      const auto redirect = [](const std::filesystem::path& path, int flags, int to) {
        const int fd = open(path.c_str(), flags, 0600);
        if (fd < 0 || dup2(fd, to) < 0) _exit(127);
      };
      redirect(in, O_RDONLY, STDIN_FILENO);
      redirect(out, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
      redirect(err, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    if (meanwhile) meanwhile(child);
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), ReadAll(out),
            ReadAll(err)};
  }

  Outcome Octet(std::vector<std::string> args, const std::string& input = "") const {
    args.insert(args.begin(), Program());
    return Execute(args, input);
  }

  // The object that a command with --json prints; the command must succeed.
  Json OctetJson(std::vector<std::string> args) const {
    args.push_back("--json");
    const Outcome o = Octet(std::move(args));
    EXPECT_EQ(o.exit_code, 0) << o.err;
    const Result<Json> json = Json::Parse(o.out);
    EXPECT_TRUE(json.ok()) << o.out;
    return json.ok() ? *json : Json();
  }

  // `text.txt` of about `sentences` * 12 tokens.
  std::string WriteText(int sentences) const {
    std::string text;
    for (int i = 0; i < sentences; ++i) {
      text += "It was a dark night, and the old man never saw it.\n";
    }
    WriteAll(folder_ / "text.txt", text);
    return PathOf("text.txt");
  }

  // What lies in the test's folder besides the harness's own files: nothing may be left behind.
  std::vector<std::string> Entries() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (entry.path().filename() != "io") names.push_back(entry.path().filename().string());
    }
    return names;
  }

  std::filesystem::path folder_;
};

// The arguments of a quantization that takes about a second.
inline std::vector<std::string> QuickQuantize(const std::string& model, const std::string& recipe,
                                              const std::string& output) {
  return {"quantize", model,       "--recipe", recipe,     "--output",
          output,     "--samples", "2",        "--length", "48"};
}

}  // namespace octet
#endif  // OCTET_TESTS_CLI_PROGRAM_H_
