#include "eval/text_data.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "eval/json_lines.h"
#include "eval/wikitext.h"
#include "eval/windows.h"
#include "runtime/sampler.h"
#include "runtime/session.h"

namespace octet {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 30;
constexpr std::string_view kEndOfText = "<|endoftext|>";
constexpr std::string_view kBlank = " \t\r\n\v\f";

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(kBlank) == text.npos;
}

// The document in one line of a JSONL file.
Result<std::string> DocumentOf(const Json& line) {
  if (line.is_string()) return line.AsString();
  if (!line.is_object()) return Corrupt("want a string, or an object with a member \"text\"");
  const auto text = [&](const char* key) -> const std::string* {
    const Json* member = line.Find(key);
    return member != nullptr && member->is_string() ? &member->AsString() : nullptr;
  };
  if (const std::string* t = text("text"); t != nullptr) return *t;
  if (text("prefix") != nullptr && text("gold_completion") != nullptr) {
    return *text("prefix") + *text("gold_completion");
  }
  if (line.Find("text") != nullptr) return Corrupt("member \"text\" is not a string");
  for (const auto& [key, value] : line.AsObject()) {
    if (value.is_string()) return value.AsString();
  }
  return Corrupt("there is no member \"text\"");
}

// What stands between the marks that end a text.
void ReadPlainText(std::string_view bytes, TextFile* file) {
  while (!bytes.empty()) {
    const size_t end = bytes.find(kEndOfText);
    const std::string_view part = bytes.substr(0, end);
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + kEndOfText.size());
    if (!IsBlank(part)) file->documents.emplace_back(part.substr(part.find_first_not_of("\r\n")));
  }
}

// Calls take(document) for each line that is not blank.
template <class Function>
Status ForEachDocument(std::string_view bytes, const std::string& path, Function take) {
  return ForEachJsonLine(path, bytes, [&](const Json& line, int64_t) -> Status {
    OCTET_ASSIGN(std::string document, DocumentOf(line));
    take(std::move(document));
    return {};
  });
}

Result<std::string> ReadUtf8File(const std::string& path) {
  OCTET_ASSIGN(std::string bytes, ReadWholeFile(path, kMaxFileBytes));
  if (const size_t bad = FindIllFormed(bytes); bad != std::string::npos) {
    return Corrupt(fmt::format("{}: byte {} is not UTF-8 text", path, bad));
  }
  return bytes;
}

bool IsJsonLines(const std::string& path) {
  return path.ends_with(".jsonl");
}

Status NoText(const std::string& path) {
  return InvalidArgument(fmt::format("{}: there is no text in the file", path));
}

Status GenerateDocument(const std::shared_ptr<const Model>& model, const SelfTextOptions& options,
                        int64_t index, int64_t ids, const std::shared_ptr<ThreadPool>& pool,
                        TokenDocument* document) {
  // A hash, because SplitMix64 streams of neighbouring seeds could be one stream, shifted.
  Rng seeds(options.seed ^ (static_cast<uint64_t>(index) * 0xd1b54a32d192ed03ull));
  OCTET_ASSIGN(Sampler sampler, Sampler::Create({1.0, 0, 1.0, seeds.Next()}));
  Session session(model, pool);
  std::vector<float> logits(static_cast<size_t>(model->vocab_rows()));
  document->push_back(model->eos().empty() ? 0 : model->eos().front());
  while (std::ssize(*document) < options.length) {
    OCTET_TRY(session.Feed(std::span(*document).last(1), logits));
    OCTET_ASSIGN(const TokenId next, sampler.Sample(logits, ids));
    document->push_back(next);
  }
  return {};
}

}  // namespace

Result<TextFile> ReadTextFile(const std::string& path) {
  OCTET_ASSIGN(std::string bytes, ReadUtf8File(path));
  TextFile file{path, {}, {}};
  if (IsJsonLines(path)) {
    OCTET_TRY(ForEachDocument(bytes, path, [&](std::string document) {
      if (IsBlank(document)) return;
      if (!file.text.empty()) file.text += "\n\n";
      file.text += document;
      file.documents.push_back(std::move(document));
    }));
  } else {
    ReadPlainText(bytes, &file);
    file.text = std::move(bytes);
  }
  if (file.documents.empty()) return NoText(path);
  return file;
}

Result<std::string> ReadJoinedRows(const std::string& path) {
  OCTET_ASSIGN(const std::string bytes, ReadUtf8File(path));
  std::string joined;
  if (IsJsonLines(path)) {
    bool first = true;
    OCTET_TRY(ForEachDocument(bytes, path, [&](const std::string& row) {
      if (!std::exchange(first, false)) joined += "\n\n";
      joined += row;
    }));
  } else {
    joined = JoinWikiRows(bytes);
  }
  if (IsBlank(joined)) return NoText(path);
  return joined;
}

Result<std::vector<std::string>> ReadPages(const std::string& path) {
  OCTET_ASSIGN(TextFile file, ReadTextFile(path));
  if (IsJsonLines(path)) return std::move(file.documents);
  std::vector<std::string> pages;
  for (const std::string& document : file.documents) {
    std::ranges::move(WikiPages(document), std::back_inserter(pages));
  }
  return pages;
}

Result<std::vector<TokenDocument>> CutSamples(const TextFile& file, const Tokenizer& tokenizer,
                                              int64_t samples, int64_t length) {
  if (samples < 1 || length < 2) {
    return InvalidArgument("calibration needs at least 1 sample of at least 2 tokens");
  }
  std::vector<TokenDocument> pieces;
  std::vector<TokenDocument> rest;  // what is left of each document
  for (const std::string& document : file.documents) {
    if (static_cast<int64_t>(pieces.size()) == samples) return pieces;
    TokenDocument ids = tokenizer.Encode(document);
    const auto cut = ids.begin() + std::min<std::ptrdiff_t>(length, std::ssize(ids));
    if (cut - ids.begin() >= 2) pieces.emplace_back(ids.begin(), cut);
    rest.emplace_back(cut, ids.end());
  }
  for (int64_t begin = 0; static_cast<int64_t>(pieces.size()) < samples; begin += length) {
    bool any = false;
    for (const TokenDocument& ids : rest) {
      const int64_t n = std::min(length, std::ssize(ids) - begin);
      if (n < 2 || static_cast<int64_t>(pieces.size()) == samples) continue;
      pieces.emplace_back(ids.begin() + begin, ids.begin() + begin + n);
      any = true;
    }
    if (!any) break;
  }
  if (pieces.empty()) {
    return InvalidArgument(fmt::format("{}: there is no document of at least 2 tokens", file.path));
  }
  return pieces;
}

Result<TokenDocument> HoldOut(std::vector<TokenDocument>* documents) {
  TokenDocument held;
  if (documents->empty()) return InvalidArgument("there is no text to calibrate on");
  if (documents->size() == 1) {
    TokenDocument& only = documents->front();
    const int64_t n = std::max<int64_t>(2, std::ssize(only) / 10);
    if (std::ssize(only) < n + 2) {
      return InvalidArgument(fmt::format(
          "the text has only {} tokens, too few to calibrate on some and check on others",
          only.size()));
    }
    held.assign(only.end() - n, only.end());
    only.resize(only.size() - static_cast<size_t>(n));
    return held;
  }
  const size_t keep = documents->size() - std::max<size_t>(1, documents->size() / 10);
  for (size_t i = keep; i < documents->size(); ++i) {
    held.insert(held.end(), (*documents)[i].begin(), (*documents)[i].end());
  }
  if (held.size() < 2) return InvalidArgument("the text has too few tokens to check on");
  documents->resize(keep);
  return held;
}

Result<std::vector<TokenDocument>> GenerateText(const std::shared_ptr<const Model>& model,
                                                const SelfTextOptions& options,
                                                const Progress& progress) {
  if (options.samples < 1 || options.length < 2) {
    return InvalidArgument("generated text needs at least 1 sample of at least 2 tokens");
  }
  const Result<Tokenizer> tokenizer = model->tokenizer();
  const int64_t ids = tokenizer.ok() ? tokenizer->size() : model->vocab_rows();
  std::vector<TokenDocument> documents(static_cast<size_t>(options.samples));
  OCTET_TRY(ForEachWindow(options.samples, options.threads, "generating text", progress,
                          [&](int64_t i, const std::shared_ptr<ThreadPool>& pool) {
                            return GenerateDocument(model, options, i, ids, pool,
                                                    &documents[static_cast<size_t>(i)]);
                          }));
  return documents;
}

std::string HashTokens(std::span<const TokenDocument> documents) {
  Sha256 hash;
  const auto add = [&](uint64_t value, size_t bytes) {
    std::array<std::byte, 8> little{};
    for (size_t i = 0; i < bytes; ++i) {
      little[i] = static_cast<std::byte>(value >> (8 * i));
    }
    hash.Update(std::span(little).first(bytes));
  };
  for (const TokenDocument& document : documents) {
    add(document.size(), 8);
    for (const TokenId id : document) {
      add(static_cast<uint32_t>(id), 4);
    }
  }
  return hash.Hex();
}

}  // namespace octet
