#include "python/src/errors.h"

#include <nanobind/nanobind.h>

namespace octet::python {
namespace {

PyObject* TypeOf(Code code) {
  switch (code) {
    case Code::kNotFound:
      return PyExc_FileNotFoundError;
    case Code::kIo:
      return PyExc_OSError;
    case Code::kInternal:
      return PyExc_RuntimeError;
    default:
      return PyExc_ValueError;
  }
}

}  // namespace

void RegisterErrors() {
  nanobind::register_exception_translator([](const std::exception_ptr& error, void*) {
    try {
      std::rethrow_exception(error);
    } catch (const StatusError& e) {
      // A message may quote a path that is not UTF-8.
      const std::string message = e.what();
      const auto text = nanobind::steal(PyUnicode_DecodeUTF8(
          message.data(), static_cast<Py_ssize_t>(message.size()), "backslashreplace"));
      if (text.is_valid()) PyErr_SetObject(TypeOf(e.code()), text.ptr());
    }
  });
}

}  // namespace octet::python
