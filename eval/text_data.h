// Text for calibration and evaluation: from a file, or written by the model itself.
#ifndef OCTET_EVAL_TEXT_DATA_H_
#define OCTET_EVAL_TEXT_DATA_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/progress.h"
#include "runtime/model.h"
#include "text/tokenizer.h"

namespace octet {

using TokenDocument = std::vector<TokenId>;

// A file of text, as one string and as documents.
struct TextFile {
  std::string path;
  std::string text;                    // what evaluation reads: tokenized once, as a whole
  std::vector<std::string> documents;  // what calibration reads: independent texts, none empty
};

// Reads the regular file `path`, at most 1 GiB. A name that ends in ".jsonl" means one JSON value
// per line: a string, or an object whose "text", or "prefix" and "gold_completion" joined, or, if
// there is no "text", first string member is a document; `text` is all of them joined by two
// newlines. Any other file is plain text, `text` being its bytes, and its documents are what stands
// between "<|endoftext|>" marks. Errors as of ReadWholeFile, kCorrupt naming the first byte that is
// not UTF-8 or the line, or kInvalidArgument when there is no text; all start with the path.
Result<TextFile> ReadTextFile(const std::string& path);

// The same file as the programs read it whose WikiText perplexities are compared; errors alike.
// ReadJoinedRows: the rows of a data set joined by two newlines: JoinWikiRows (eval/wikitext.h), or
// the documents of a .jsonl file, blank ones too. ReadPages: the documents, those of plain text cut
// into WikiPages.
Result<std::string> ReadJoinedRows(const std::string& path);
Result<std::vector<std::string>> ReadPages(const std::string& path);

// The documents as tokens, at most `samples` pieces of at most `length` and at least 2 tokens: the
// first `length` tokens of every document in order, then, if that is not enough, the next `length`
// of every document, and so on. kInvalidArgument, naming the file, when there is no such piece.
Result<std::vector<TokenDocument>> CutSamples(const TextFile& file, const Tokenizer& tokenizer,
                                              int64_t samples, int64_t length);

// Takes the last documents away and returns their tokens one after the other: a tenth of the
// documents and at least one, or, of a single document, its last tenth and at least 2 tokens.
// kInvalidArgument when there are too few tokens.
Result<TokenDocument> HoldOut(std::vector<TokenDocument>* documents);

struct SelfTextOptions {
  int64_t samples = 32;
  int64_t length = 512;  // tokens of each, >= 2
  uint64_t seed = 0;
  int threads = 1;
};

// Documents that the model writes: each starts with its end-of-text token (token 0 when it has
// none), then samples at temperature 1 from all tokens of the tokenizer (of the vocabulary, without
// one), going on after an end of text. Document i depends on the seed and on i only, up to float
// rounding that differs between instruction sets.
Result<std::vector<TokenDocument>> GenerateText(const std::shared_ptr<const Model>& model,
                                                const SelfTextOptions& options,
                                                const Progress& progress);

// SHA-256 over, for each document, its length as 8 bytes and its ids as 4 bytes each, little
// endian; in hex. Names exactly these tokens.
std::string HashTokens(std::span<const TokenDocument> documents);

}  // namespace octet
#endif  // OCTET_EVAL_TEXT_DATA_H_
