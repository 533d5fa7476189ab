// Memory for many pieces that live as long as their owner.
#ifndef OCTET_BASE_ARENA_H_
#define OCTET_BASE_ARENA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace octet {

// Gives out pieces of large chunks, which the system is asked to back with huge pages: reading
// weights from these is up to a fifth faster than from pages of 4 KiB. Everything is freed at once.
// Not thread-safe. Out of memory throws std::bad_alloc, as Buffer does.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `bytes` > 0 on a 64-byte boundary, contents undefined.
  std::byte* Take(int64_t bytes);

 private:
  std::vector<void*> chunks_;
  std::byte* next_ = nullptr;
  int64_t left_ = 0;
};

}  // namespace octet
#endif  // OCTET_BASE_ARENA_H_
