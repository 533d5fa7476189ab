// Owned, aligned memory.
#ifndef OCTET_BASE_BUFFER_H_
#define OCTET_BASE_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace octet {

// `bytes` of zeroed memory on a 64-byte boundary; movable, not copyable. Out of memory throws
// std::bad_alloc, which ends the program: callers bound untrusted sizes first.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t bytes) : bytes_(bytes) {
    const size_t rounded = (static_cast<size_t>(bytes) + 63) / 64 * 64;
    if (rounded == 0) return;
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
    if (data_ == nullptr) throw std::bad_alloc();
    __builtin_memset(data_.get(), 0, rounded);
  }
  int64_t bytes() const { return bytes_; }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte[], Free> data_;
  int64_t bytes_ = 0;
};

}  // namespace octet
#endif  // OCTET_BASE_BUFFER_H_
