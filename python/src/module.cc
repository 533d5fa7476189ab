#include "base/parallel.h"
#include "base/version.h"
#include "python/src/bind.h"
#include "python/src/errors.h"

namespace octet::python {

TokenArray ToArray(std::vector<TokenId> ids) {
  auto owned = std::make_unique<std::vector<TokenId>>(std::move(ids));
  TokenId* data = owned->data();
  const size_t size = owned->size();
  const nb::capsule owner(owned.release(),
                          [](void* p) noexcept { delete static_cast<std::vector<TokenId>*>(p); });
  return TokenArray(data, {size}, owner);
}

Progress ReportTo(const nb::object& callback) {
  // Borrowed: the caller's argument outlives the work.
  return [function = nb::handle(callback)](std::string_view, int64_t done, int64_t total) {
    const nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (!function.is_none()) function(done, total);
  };
}

std::string ToString(const nb::bytes& bytes) {
  return {bytes.c_str(), bytes.size()};
}

}  // namespace octet::python

NB_MODULE(_octet, m) {
  using namespace octet;
  m.doc() = "The C++ part of octet; private.";
  m.def("version", [] { return kVersion; });
  m.def("available_threads", &AvailableThreads);
  python::RegisterErrors();
  python::BindTokenizer(m);
  python::BindModel(m);
  python::BindSession(m);
}
