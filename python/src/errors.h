// From Octet's Status to Python's exceptions.
#ifndef OCTET_PYTHON_SRC_ERRORS_H_
#define OCTET_PYTHON_SRC_ERRORS_H_

#include <exception>
#include <utility>

#include "base/status.h"

namespace octet::python {

// Carries a Status to the translator of RegisterErrors; may be thrown without the GIL.
class StatusError : public std::exception {
 public:
  explicit StatusError(Status status) : status_(std::move(status)) {}
  const char* what() const noexcept override { return status_.message().c_str(); }
  Code code() const { return status_.code(); }

 private:
  Status status_;
};

// Makes a StatusError what its code means in Python, the message being its only argument: kNotFound
// FileNotFoundError, kIo OSError, kInternal RuntimeError, the rest ValueError.
void RegisterErrors();

inline void Check(const Status& status) {
  if (!status.ok()) throw StatusError(status);
}
template <class T>
T Value(Result<T> result) {
  Check(result.status());
  return *std::move(result);
}

}  // namespace octet::python
#endif  // OCTET_PYTHON_SRC_ERRORS_H_
