// What the files of the extension share. The extension is private to the package octet, whose
// Python files are the interface: they check types, convert arrays and have the documentation.
#ifndef OCTET_PYTHON_SRC_BIND_H_
#define OCTET_PYTHON_SRC_BIND_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "eval/progress.h"
#include "runtime/model.h"
#include "text/tokenizer.h"

namespace octet::python {

namespace nb = nanobind;

using Tokens = nb::ndarray<const TokenId, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Vector = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using ConstVector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ConstMatrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using TokenArray = nb::ndarray<nb::numpy, TokenId, nb::ndim<1>>;

template <class Array>
auto Span(const Array& array) {
  return std::span(array.data(), array.size());
}

// Hands the ids over to NumPy.
TokenArray ToArray(std::vector<TokenId> ids);

// A Progress for work without the GIL: it lets Python handle signals and calls `callback`(done,
// total) unless that is None. An exception there, such as KeyboardInterrupt, ends the work.
Progress ReportTo(const nb::object& callback);

// bytes of Python, such as a path.
std::string ToString(const nb::bytes& bytes);

void BindTokenizer(nb::module_& m);
void BindModel(nb::module_& m);
void BindSession(nb::module_& m);

}  // namespace octet::python
#endif  // OCTET_PYTHON_SRC_BIND_H_
