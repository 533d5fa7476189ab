#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "python/src/bind.h"

namespace octet::python {
namespace {

std::string Decode(const Tokenizer& t, const Tokens& ids, bool skip_special) {
  return t.Decode({ids.data(), ids.data() + ids.size()}, skip_special);
}

nb::bytes BytesOf(const Tokenizer& t, TokenId id) {
  const std::string_view bytes = t.Bytes(id);
  return nb::bytes(bytes.data(), bytes.size());
}

TokenArray Encode(const Tokenizer& t, const nb::bytes& utf8) {
  const std::string_view text(utf8.c_str(), utf8.size());
  std::vector<TokenId> ids;
  {
    const nb::gil_scoped_release no_gil;
    ids = t.Encode(text);
  }
  return ToArray(std::move(ids));
}

}  // namespace

void BindTokenizer(nb::module_& m) {
  nb::class_<Tokenizer>(m, "Tokenizer")
      .def("encode", &Encode, nb::arg("utf8"))
      .def("decode", &Decode, nb::arg("ids"), nb::arg("skip_special"))
      .def("token_bytes", &BytesOf, nb::arg("id"))
      .def("is_special", &Tokenizer::IsSpecial, nb::arg("id"))
      .def(
          "find", [](const Tokenizer& t, const nb::bytes& b) { return t.Find(ToString(b)); },
          nb::arg("token"))
      .def("size", &Tokenizer::size);
  nb::class_<StreamDecoder>(m, "StreamDecoder")
      .def(nb::init<Tokenizer, bool>(), nb::arg("tokenizer"), nb::arg("skip_special"))
      .def("push", &StreamDecoder::Push, nb::arg("id"))
      .def("flush", &StreamDecoder::Flush);
}

}  // namespace octet::python
