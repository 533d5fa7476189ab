// What the commands and their options have in common. `name` is as in CLI11: "-n,--tokens", or
// "MODEL" for one without a flag. What *value holds is the default; it outlives the command.
#ifndef OCTET_APPS_CLI_OPTION_KINDS_H_
#define OCTET_APPS_CLI_OPTION_KINDS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/cli/options.h"

namespace octet::cli {

inline constexpr int64_t kManyTokens = int64_t{1} << 30;

// A command with --json, and its values, which it owns. Parsing it copies them to *chosen.
template <class Values>
std::pair<CLI::App*, Values&> AddCommand(CLI::App* parent, const char* name, const char* help,
                                         Command* chosen) {
  const auto values = std::make_shared<Values>();
  CLI::App* c = parent->add_subcommand(name, help);
  c->add_flag("--json", values->json, "print one JSON object");
  c->callback([values, chosen] { *chosen = *values; });
  return {c, *values};
}

// A range whose limits do not clutter the help.
template <class T>
CLI::Validator Between(T low, T high) {
  const auto check = [low, high](const std::string& text) {
    T value{};
    const bool inside = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
    return inside ? std::string() : fmt::format("{} is not between {} and {}", text, low, high);
  };
  return CLI::Validator(check, "");
}

CLI::Validator NotEmpty();

void AddModel(CLI::App* c, const char* name, const char* help, std::string* value);
// --output: a folder.
void AddOutputFolder(CLI::App* c, std::string* folder);

// An integer, and a number, from `low` to `high`.
void AddCount(CLI::App* c, const char* name, const char* help, int64_t* value, int64_t low,
              int64_t high = kManyTokens);
void AddNumber(CLI::App* c, const char* name, const char* help, double* value, double low,
               double high);

// One of `words`.
void AddWord(CLI::App* c, const char* name, const char* help, const std::vector<std::string>& words,
             std::string* value);

void AddSeed(CLI::App* c, uint64_t* seed);

// --threads: one per core unless told otherwise, whatever *threads was.
void AddThreads(CLI::App* c, int* threads);
// --threads of another help: what *threads was unless told otherwise.
void AddThreads(CLI::App* c, int* threads, const char* help);

void AddChunkSize(CLI::App* c, int64_t* chunk_size);
void AddText(CLI::App* c, TextFlags* t);

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_OPTION_KINDS_H_
