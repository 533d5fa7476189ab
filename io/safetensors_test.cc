// Contracts of io/safetensors.h:
//  - what WriteSafetensors writes, ReadSafetensors gives back, and the same input gives the same
//  bytes;
//  - each way in which a header can lie is refused with the stated code, naming the tensor;
//  - data at any alignment can be read; a full disk leaves no file.
#include "io/safetensors.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <limits>

#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string FileOf(uint64_t header_bytes, std::string_view header, std::string_view data) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &header_bytes, 8);
  return file.append(header).append(data);
}

std::string FileOf(std::string_view header, std::string_view data) {
  return FileOf(header.size(), header, data);
}

Result<WeightMap> Parse(const std::string& file) {
  auto owner = std::make_shared<std::string>(file);
  return ParseSafetensors(std::as_bytes(std::span(*owner)), owner);
}

// The error for a file of this header and 8 bytes of data, with its code.
std::string ErrorOf(std::string_view header, std::string_view data = "01234567") {
  const Result<WeightMap> r = Parse(FileOf(header, data));
  if (r.ok()) return "accepted";
  return fmt::format("{} {}",
                     r.status().code() == Code::kCorrupt       ? "corrupt"
                     : r.status().code() == Code::kUnsupported ? "unsupported"
                                                               : "other",
                     r.status().message());
}

std::string One(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"a":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape,
                     offsets);
}

std::string_view BytesIn(const Weight& w) {
  return {reinterpret_cast<const char*>(w.data), static_cast<size_t>(w.bytes())};
}

TEST(Safetensors, ReadsTheFormat) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("z":{"dtype":"BF16","shape":[0,5],"data_offsets":[7,7]}}   )";
  const Result<WeightMap> w = Parse(FileOf(header, std::string("\0\0\x80\x3f\1\2\3", 7)));
  ASSERT_TRUE(w.ok()) << w.status().message();
  EXPECT_EQ(w->all().size(), 3u);
  EXPECT_EQ(ToF32(*w->Find("a")), std::vector<float>{1.0f});
  EXPECT_TRUE(w->Find("a")->shape.empty());
  EXPECT_EQ(BytesIn(*w->Find("b")), "\1\2\3");
  EXPECT_EQ(w->Find("z")->shape, (std::vector<int64_t>{0, 5}));
  EXPECT_TRUE(Parse(FileOf("{}", "")).ok());
}

TEST(Safetensors, RefusesALyingFile) {
  EXPECT_EQ(Parse("1234567").status().code(), Code::kCorrupt);
  EXPECT_EQ(Parse("").status().code(), Code::kCorrupt);
  for (const uint64_t n : {uint64_t{100'000'001}, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    EXPECT_THAT(Parse(FileOf(n, "{}", "")).status().message(), HasSubstr("exceeds 100 MB")) << n;
  }
  EXPECT_THAT(Parse(FileOf(3, "{}", "")).status().message(),
              HasSubstr("header's length of 3 bytes exceeds the file's 10"));
  const std::string whole = FileOf(One("F32", "[2]", "[0,8]"), "01234567");
  ASSERT_TRUE(Parse(whole).ok());
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_EQ(Parse(whole.substr(0, n)).status().code(), Code::kCorrupt) << n;
  }
}

TEST(Safetensors, RefusesAMalformedHeader) {
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("corrupt the header does not start with {"));
  EXPECT_THAT(ErrorOf("\xef\xbb\xbf{}"), HasSubstr("corrupt the header does not start with {"));
  EXPECT_THAT(ErrorOf("{"), HasSubstr("corrupt header: line 1"));
  EXPECT_THAT(ErrorOf(R"({"a":1})"),
              HasSubstr("corrupt tensor a: the description is not an object"));
  EXPECT_THAT(ErrorOf(R"({"__metadata__":1})"), HasSubstr("corrupt \"__metadata__\""));
  EXPECT_THAT(ErrorOf(R"({"__metadata__":{"a":1}})"), HasSubstr("\"a\" is not a string"));
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},)"
                      R"("a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})"),
              HasSubstr("duplicate member name \"a\""));
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"U8","data_offsets":[0,8]}})"),
              HasSubstr("\"shape\" is missing"));
  EXPECT_THAT(ErrorOf(R"({"a":{"dtype":"U8","shape":[8]}})"),
              HasSubstr("\"data_offsets\" is missing"));
  EXPECT_THAT(ErrorOf(R"({"a":{"shape":[8],"data_offsets":[0,8]}})"),
              HasSubstr("\"dtype\" is missing"));
}

TEST(Safetensors, RefusesTypes) {
  EXPECT_THAT(ErrorOf(One("F33", "[8]", "[0,8]")),
              HasSubstr("corrupt tensor a: unknown element type \"F33\""));
  EXPECT_THAT(ErrorOf(One("f32", "[2]", "[0,8]")),
              HasSubstr("corrupt tensor a: unknown element type"));
  for (const char* type : {"F64", "BOOL", "F8_E4M3", "U64", "I16"}) {
    EXPECT_THAT(ErrorOf(One(type, "[1]", "[0,8]")),
                HasSubstr(fmt::format("unsupported tensor a: element type {}", type)));
  }
}

TEST(Safetensors, RefusesShapes) {
  const std::string overflow = "corrupt tensor a: the shape overflows";
  EXPECT_EQ(ErrorOf(One("U8", "[4294967296,4294967296]", "[0,8]")), overflow);
  EXPECT_EQ(ErrorOf(One("F32", "[4611686018427387904]", "[0,8]")), overflow);
  EXPECT_EQ(ErrorOf(One("U8", "[4294967296,4294967296,0]", "[0,8]")), overflow);
  EXPECT_THAT(ErrorOf(One("F32", "[3]", "[0,8]")), HasSubstr("needs 12 bytes, the offsets give 8"));
  EXPECT_THAT(ErrorOf(One("F32", "[]", "[0,8]")), HasSubstr("needs 4 bytes, the offsets give 8"));
  for (const char* shape :
       {"[-8]", "[8.0]", "[\"8\"]", "[null]", "8", "{}", "[18446744073709551616]"}) {
    EXPECT_THAT(ErrorOf(One("U8", shape, "[0,8]")), HasSubstr("corrupt tensor a: \"shape\""))
        << shape;
  }
}

TEST(Safetensors, RefusesOffsets) {
  for (const char* offsets : {"[0,9]", "[8,0]", "[9,9]", "[0,9223372036854775807]"}) {
    EXPECT_THAT(ErrorOf(One("U8", "[8]", offsets)), HasSubstr("do not lie in the data")) << offsets;
  }
  for (const char* offsets : {"[0,18446744073709551615]", "[-8,0]", "[0,8.0]", "8"}) {
    EXPECT_THAT(ErrorOf(One("U8", "[8]", offsets)), HasSubstr("tensor a: \"data_offsets\""))
        << offsets;
  }
  EXPECT_THAT(ErrorOf(One("U8", "[8]", "[0,8,8]")), HasSubstr("not a pair"));
}

TEST(Safetensors, RefusesOverlapsAndHoles) {
  const auto two = [](int b0, int e0, int b1, int e1) {
    return fmt::format(R"({{"a":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}},)"
                       R"("b":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}})",
                       e0 - b0, b0, e0, e1 - b1, b1, e1);
  };
  EXPECT_EQ(ErrorOf(two(4, 8, 0, 4)), "accepted");
  EXPECT_EQ(ErrorOf(two(0, 5, 4, 8)), "corrupt tensor b: overlaps another tensor");
  EXPECT_EQ(ErrorOf(two(0, 8, 0, 8)), "corrupt tensor b: overlaps another tensor");
  EXPECT_EQ(ErrorOf(two(0, 8, 4, 4)), "corrupt tensor b: overlaps another tensor");
  EXPECT_EQ(ErrorOf(two(0, 3, 4, 8)), "corrupt tensor b: 1 bytes before it belong to no tensor");
  EXPECT_EQ(ErrorOf(two(1, 4, 4, 8)), "corrupt tensor a: 1 bytes before it belong to no tensor");
  EXPECT_EQ(ErrorOf(two(0, 4, 4, 7)), "corrupt the last 1 bytes belong to no tensor");
}

TEST(Safetensors, DataMayBeMisaligned) {
  for (int pad = 0; pad < 8; ++pad) {
    const std::string header =
        One("F32", "[2]", "[0,8]") + std::string(static_cast<size_t>(pad), ' ');
    const Result<WeightMap> w = Parse(FileOf(header, std::string("\0\0\x80\x3f\0\0\0\x40", 8)));
    ASSERT_TRUE(w.ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(w->Find("a")->data) % 4, 0u);
    EXPECT_EQ(ToF32(*w->Find("a")), (std::vector<float>{1, 2}));
  }
}

Weight RandomWeight() {
  const DType dtype = *rc::gen::element(DType::kF32, DType::kF16, DType::kBF16, DType::kI8,
                                        DType::kI4, DType::kU8, DType::kI32, DType::kI64);
  // Few dimensions: the elements of many would not fit in memory.
  const auto rank = *rc::gen::inRange<size_t>(0, 5);
  auto shape = *rc::gen::container<std::vector<int64_t>>(rank, rc::gen::inRange<int64_t>(0, 5));
  if (dtype == DType::kI4 && shape.empty()) shape = {3};
  Weight w;
  w.dtype = dtype;
  w.shape = shape;
  std::vector<std::byte> bytes(static_cast<size_t>(w.bytes()));
  for (std::byte& b : bytes)
    b = static_cast<std::byte>(*rc::gen::inRange(0, 256));
  return MakeWeight(dtype, std::move(bytes), std::move(shape));
}

RC_GTEST_PROP(Safetensors, WhatIsWrittenIsRead, ()) {
  static const ScratchFolder folder;
  std::vector<std::pair<std::string, Weight>> tensors;
  const int n = *rc::gen::inRange(0, 5);
  for (int i = 0; i < n; ++i)
    tensors.emplace_back(fmt::format("t\xc3\xa9.{}\"", 9 - i), RandomWeight());
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"k\n", "\"v\""}};
  RC_ASSERT(WriteSafetensors(folder.At("a"), tensors, metadata).ok());
  RC_ASSERT(WriteSafetensors(folder.At("b"), tensors, metadata).ok());
  RC_ASSERT(ReadBytes(folder.At("a")) == ReadBytes(folder.At("b")));
  const Result<WeightMap> back = ReadSafetensors(folder.At("a"));
  RC_ASSERT(back.ok());
  RC_ASSERT(back->all().size() == tensors.size());
  for (const auto& [name, w] : tensors) {
    const Weight* r = back->Find(name);
    RC_ASSERT(r != nullptr);
    RC_ASSERT(BytesIn(*r) == BytesIn(w));
    if (w.dtype == DType::kI4) {
      RC_ASSERT(r->dtype == DType::kU8);
      RC_ASSERT(r->shape == (std::vector<int64_t>{w.rows(), (w.columns() + 1) / 2}));
    } else {
      RC_ASSERT(r->dtype == w.dtype);
      RC_ASSERT(r->shape == w.shape);
    }
  }
}

TEST(Safetensors, FourBitRowsAreWholeBytes) {
  const ScratchFolder folder;
  const std::vector<std::byte> codes = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  const Weight w = MakeWeight(DType::kI4, codes, {2, 3});
  ASSERT_TRUE(WriteSafetensors(folder.At("f"), {{"w", w}}, {}).ok());
  const Result<WeightMap> back = ReadSafetensors(folder.At("f"));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->Find("w")->shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(BytesIn(*back->Find("w")), "\1\2\3\4");
}

// The layout is written down: files must not change with the library's version.
TEST(Safetensors, WritesTheseBytes) {
  const ScratchFolder folder;
  ASSERT_TRUE(
      WriteSafetensors(folder.At("f"), {{"a", MakeWeight({1.0f}, {1, 1})}}, {{"m", "v"}}).ok());
  std::string header =
      R"({"__metadata__": {"m": "v"}, "a": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}})";
  header.resize(120, ' ');
  EXPECT_EQ(ReadBytes(folder.At("f")), FileOf(header, std::string_view("\0\0\x80\x3f", 4)));
}

TEST(Safetensors, WriterRefuses) {
  const ScratchFolder folder;
  const Weight w = MakeWeight({1.0f}, {1});
  const auto code = [&](std::vector<std::pair<std::string, Weight>> tensors) {
    return WriteSafetensors(folder.At("f"), tensors, {}).code();
  };
  EXPECT_EQ(code({{"a", w}, {"a", w}}), Code::kInvalidArgument);
  EXPECT_EQ(code({{"__metadata__", w}}), Code::kInvalidArgument);
  EXPECT_EQ(code({{"\xff", w}}), Code::kInvalidArgument);
  Weight scalar = w;
  scalar.dtype = DType::kI4;
  scalar.shape = {};
  EXPECT_EQ(code({{"a", scalar}}), Code::kInvalidArgument);
  Weight empty = w;
  empty.data = nullptr;
  EXPECT_EQ(code({{"a", empty}}), Code::kInvalidArgument);
  EXPECT_EQ(WriteSafetensors(folder.At("none/f"), {{"a", w}}, {}).code(), Code::kInvalidArgument);
  EXPECT_THAT(folder.List(), IsEmpty());
}

TEST(Safetensors, FullDiskLeavesNoFile) {
  const ScratchFolder folder;
  const Weight w = MakeWeight(std::vector<float>(10000), {10000});
  {
    const FullDisk full(8192);
    const Status status = WriteSafetensors(folder.At("f"), {{"a", w}}, {});
    EXPECT_EQ(status.code(), Code::kIo);
    EXPECT_TRUE(status.message().starts_with(folder.At("f") + ": ")) << status.message();
  }
  EXPECT_THAT(folder.List(), IsEmpty());
  EXPECT_TRUE(WriteSafetensors(folder.At("f"), {{"a", w}}, {}).ok());
}

TEST(Safetensors, ErrorsNameTheFile) {
  const ScratchFolder folder;
  const std::string path = folder.Write("f", FileOf(One("F32", "[3]", "[0,8]"), "01234567"));
  EXPECT_THAT(ReadSafetensors(path).status().message(), HasSubstr(path + ": tensor a: the shape"));
  EXPECT_EQ(ReadSafetensors(folder.At("none")).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace octet
