#include "apps/cli/option_kinds.h"

#include "base/parallel.h"
#include "graph/graph.h"

namespace octet::cli {

CLI::Validator NotEmpty() {
  const auto check = [](const std::string& text) {
    return std::string(text.empty() ? "must not be empty" : "");
  };
  return CLI::Validator(check, "");
}

void AddModel(CLI::App* c, const char* name, const char* help, std::string* value) {
  c->add_option(name, *value, help)->required()->type_name("");
}

void AddOutputFolder(CLI::App* c, std::string* folder) {
  c->add_option("--output", *folder, "folder to write; must not exist or be empty")
      ->required()
      ->type_name("DIR");
}

void AddCount(CLI::App* c, const char* name, const char* help, int64_t* value, int64_t low,
              int64_t high) {
  c->add_option(name, *value, help)
      ->check(Between(low, high))
      ->capture_default_str()
      ->type_name("N");
}

void AddNumber(CLI::App* c, const char* name, const char* help, double* value, double low,
               double high) {
  c->add_option(name, *value, help)
      ->check(Between(low, high))
      ->capture_default_str()
      ->type_name("X");
}

void AddWord(CLI::App* c, const char* name, const char* help, const std::vector<std::string>& words,
             std::string* value) {
  c->add_option(name, *value, help)
      ->check(CLI::IsMember(words).description(""))
      ->capture_default_str()
      ->type_name(fmt::format("{}", fmt::join(words, "|")));
}

void AddSeed(CLI::App* c, uint64_t* seed) {
  // CLI11 would wrap -1 around.
  const auto not_negative = [](const std::string& text) {
    return std::string(text.starts_with('-') ? "must not be negative" : "");
  };
  c->add_option("--seed", *seed, "seed of random numbers")
      ->check(not_negative)
      ->capture_default_str()
      ->type_name("N");
}

void AddThreads(CLI::App* c, int* threads) {
  *threads = AvailableThreads();
  AddThreads(c, threads,
             "threads; default: the cores that it may use; results do not depend on it");
}

void AddThreads(CLI::App* c, int* threads, const char* help) {
  c->add_option("--threads", *threads, help)
      ->check(Between(1, kMaxThreads))
      ->capture_default_str()
      ->type_name("N");
}

void AddChunkSize(CLI::App* c, int64_t* chunk_size) {
  c->add_option("--chunk-size", *chunk_size,
                "tokens per chunk of the SSD; default: the model's. A model with scales that "
                "were calibrated for one size runs with no other")
      ->check(Between(int64_t{1}, kMaxChunkSize))
      ->type_name("N");
}

void AddText(CLI::App* c, TextFlags* t) {
  c->add_option("--text", t->path, "plain text, or .jsonl with a \"text\" per line")
      ->required()
      ->type_name("FILE");
  AddCount(c, "--window", "tokens that a fresh state sees; what is left at the end is not scored",
           &t->window, 2);
  c->add_option("--stride", t->stride, "tokens from one window to the next; default: the window")
      ->check(Between(int64_t{1}, kManyTokens))
      ->type_name("N");
  c->add_option("--max-tokens", t->max_tokens, "use only the first tokens of the text")
      ->check(Between(int64_t{1}, kManyTokens))
      ->type_name("N");
}

}  // namespace octet::cli
