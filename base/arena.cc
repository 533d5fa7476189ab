#include "base/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/checked.h"

namespace octet {
namespace {

constexpr int64_t kHugePage = 2 << 20;
constexpr int64_t kChunk = 16 << 20;
constexpr int64_t kAlignment = 64;

}  // namespace

Arena::~Arena() {
  for (void* chunk : chunks_) {
    std::free(chunk);
  }
}

std::byte* Arena::Take(int64_t bytes) {
  const int64_t rounded = CeilDiv(bytes, kAlignment) * kAlignment;
  if (rounded > left_) {
    const int64_t size = std::max(kChunk, CeilDiv(rounded, kHugePage) * kHugePage);
    void* chunk = std::aligned_alloc(static_cast<size_t>(kHugePage), static_cast<size_t>(size));
    if (chunk == nullptr) throw std::bad_alloc();
    (void)madvise(chunk, static_cast<size_t>(size), MADV_HUGEPAGE);  // a wish
    chunks_.push_back(chunk);
    next_ = static_cast<std::byte*>(chunk);
    left_ = size;
  }
  std::byte* piece = next_;
  next_ += rounded;
  left_ -= rounded;
  return piece;
}

}  // namespace octet
