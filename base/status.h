// Status and Result<T>: the only error channel that crosses a folder boundary.
#ifndef OCTET_BASE_STATUS_H_
#define OCTET_BASE_STATUS_H_

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace octet {

// What went wrong, coarse enough for a caller to act on. apps/cli maps kIo and kInternal to exit
// code 1, kQualityGate to 4 and the rest (bad input or usage) to 2.
enum class Code : uint8_t {
  kOk,
  kInvalidArgument,  // the caller asked for something that makes no sense
  kCorrupt,          // a file contradicts itself or its format
  kNotFound,
  kUnsupported,  // well formed, but not something Octet runs
  kTooLarge,     // exceeds a stated bound
  kIo,           // the operating system refused: disk full, permission
  kQualityGate,  // the result exists but is not good enough
  kInternal,
};

// Success, or a code with one sentence for the user that names the file, the tensor and the reason.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with "`context`: " in front of its message; ok stays ok.
  Status Annotate(const std::string& context) const {
    return ok() ? *this : Status(code_, context + ": " + message_);
  }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status InvalidArgument(std::string m) {
  return {Code::kInvalidArgument, std::move(m)};
}
inline Status Corrupt(std::string m) {
  return {Code::kCorrupt, std::move(m)};
}
inline Status NotFound(std::string m) {
  return {Code::kNotFound, std::move(m)};
}
inline Status Unsupported(std::string m) {
  return {Code::kUnsupported, std::move(m)};
}
inline Status TooLarge(std::string m) {
  return {Code::kTooLarge, std::move(m)};
}
inline Status IoError(std::string m) {
  return {Code::kIo, std::move(m)};
}
inline Status Internal(std::string m) {
  return {Code::kInternal, std::move(m)};
}

// A value or the Status that says why there is none. Dereferencing an error is a programmer error.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }  // NOLINT
  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& operator*() & {
    assert(ok());
    return *value_;
  }
  const T& operator*() const& {
    assert(ok());
    return *value_;
  }
  T&& operator*() && {
    assert(ok());
    return std::move(*value_);
  }
  T* operator->() {
    assert(ok());
    return &*value_;
  }
  const T* operator->() const {
    assert(ok());
    return &*value_;
  }

 private:
  std::optional<T> value_;
  Status status_;
};

// NOLINTBEGIN(bugprone-macro-parentheses): `lhs` is a declaration.
// Returns from the enclosing function if `expr`, a Status, is an error.
#define OCTET_TRY(expr)                                                                 \
  do {                                                                                  \
    if (::octet::Status status_or_ok = (expr); !status_or_ok.ok()) return status_or_ok; \
  } while (false)

// Declares `lhs` from the Result `expr`, or returns its error.
#define OCTET_ASSIGN(lhs, expr) OCTET_ASSIGN_IMPL_(lhs, expr, OCTET_CONCAT_(result_, __LINE__))
#define OCTET_CONCAT_INNER_(a, b) a##b
#define OCTET_CONCAT_(a, b) OCTET_CONCAT_INNER_(a, b)
#define OCTET_ASSIGN_IMPL_(lhs, expr, tmp) \
  auto tmp = (expr);                       \
  if (!tmp.ok()) return tmp.status();      \
  lhs = *std::move(tmp)
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace octet
#endif  // OCTET_BASE_STATUS_H_
