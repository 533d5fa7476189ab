// The residual streams of the calibration documents between two blocks.
#ifndef OCTET_QUANT_STREAMS_H_
#define OCTET_QUANT_STREAMS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "exec/interpreter.h"
#include "io/mmap.h"

namespace octet {

// Calibration text as tokens. Documents are independent streams.
struct TokenDataset {
  std::vector<std::vector<TokenId>> documents;
  int64_t tokens() const;
};

// For every document the rows [tokens, width] that enter the current block, and room for those that
// leave it. Different documents may be used from different threads.
//
// Either in memory, or in files "<file>.<block>" with the rows that enter that block, mapped: the
// page cache's, not the program's. The rows that enter a block stay on the disk until Advance, so
// that the block can be started again.
class ResidualStreams {
 public:
  // Before block 0: fill leaving(), then Advance. In memory when `file` is empty.
  static Result<ResidualStreams> Create(const TokenDataset& data, int64_t width,
                                        const std::string& file);
  // As they entered block `block`, from the files that another run left. kIo or kCorrupt, naming
  // the file, when it is missing or has another size.
  static Result<ResidualStreams> Reopen(const TokenDataset& data, int64_t width,
                                        const std::string& file, int block);

  size_t documents() const { return begin_.size() - 1; }
  int64_t tokens(size_t document) const {
    return (begin_[document + 1] - begin_[document]) / width_;
  }
  int64_t width() const { return width_; }
  std::span<const float> entering(size_t document) const {
    return entering_.values.subspan(Begin(document), Count(document));
  }
  std::span<float> leaving(size_t document) {
    return leaving_.values.subspan(Begin(document), Count(document));
  }
  // What leaves the block is on the disk afterwards; nothing to do in memory.
  Status Flush() const;
  // What left the block enters the next one.
  Status Advance();

 private:
  // Rows of all documents, of a file or owned.
  struct Rows {
    std::span<float> values;
    std::shared_ptr<void> owner;
    std::shared_ptr<WritableMapping> file;
  };
  ResidualStreams(const TokenDataset& data, int64_t width, std::string file, int block);
  size_t Begin(size_t d) const { return static_cast<size_t>(begin_[d]); }
  size_t Count(size_t d) const { return static_cast<size_t>(begin_[d + 1] - begin_[d]); }
  int64_t bytes() const { return begin_.back() * static_cast<int64_t>(sizeof(float)); }
  std::string PathOf(int block) const;
  static Rows RowsOf(std::shared_ptr<WritableMapping> mapping);
  Result<Rows> NewRows(int block) const;

  int64_t width_;
  std::vector<int64_t> begin_;  // of each document, in floats, and the end
  std::string file_;
  int block_;  // that entering_ enters
  Rows entering_, leaving_;
};

}  // namespace octet
#endif  // OCTET_QUANT_STREAMS_H_
