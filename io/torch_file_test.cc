// Contracts of io/torch_file.h:
//  - files that torch 2.15 saved (tests/golden/torch, made by tools/make_pickle_goldens.py) give
//  the
//    values that were saved, for every protocol, whatever the strides;
//  - contiguous tensors are not copied, and copies are bounded by the file's size;
//  - other formats, types, byte orders, missing or short storages are refused, naming the tensor.
#include "io/torch_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "io/make_zip.h"
#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

using Files = std::vector<std::pair<std::string, std::string>>;

Result<WeightMap> Parse(const std::string& file) {
  auto owner = std::make_shared<std::string>(file);
  return ParseTorchFile(std::as_bytes(std::span(*owner)), owner);
}

// {"w": tensor of this storage type, size, stride and number of elements}
std::string PickleOf(std::string_view type, int count, int size, int stride) {
  const auto byte = [](int v) { return std::string{'K', static_cast<char>(v)}; };
  return "\x80\x02}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\n"s +
         std::string(type) + "\nX\1\0\0\0000X\3\0\0\0cpu"s + byte(count) + "tQ" + byte(0) +
         byte(size) + "\x85" + byte(stride) + "\x85\x89NtRs.";
}

TEST(TorchFile, ReadsWhatTorchSaved) {
  for (const char* protocol : {"2", "3", "4", "5"}) {
    const auto r = ReadTorchFile(fmt::format("tests/golden/torch/protocol{}.bin", protocol));
    ASSERT_TRUE(r.ok()) << r.status().message();
    const auto values = [&](std::string_view name) { return ToF32(*r->Find(name)); };
    const auto shape = [&](std::string_view name) { return r->Find(name)->shape; };
    EXPECT_EQ(r->all().size(), 15u);
    EXPECT_THAT(values("model.f32"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    EXPECT_THAT(values("model.transposed"), ElementsAre(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11));
    EXPECT_THAT(shape("model.transposed"), ElementsAre(4, 3));
    EXPECT_THAT(values("model.window"), ElementsAre(5, 6, 9, 10));
    EXPECT_THAT(values("model.rows"), ElementsAre(4, 5, 6, 7, 8, 9, 10, 11));
    EXPECT_THAT(values("model.expanded"), ElementsAre(7, 8, 7, 8, 7, 8));
    EXPECT_THAT(values("model.scalar"), ElementsAre(1.5f));
    EXPECT_TRUE(shape("model.scalar").empty());
    EXPECT_THAT(shape("model.empty"), ElementsAre(0, 5));
    EXPECT_EQ(r->Find("model.bf16")->dtype, DType::kBF16);
    EXPECT_THAT(values("model.bf16"), ElementsAre(1, -2));
    EXPECT_EQ(r->Find("model.f16")->dtype, DType::kF16);
    EXPECT_THAT(values("model.f16"), ElementsAre(0.5f, -0.25f));
    EXPECT_EQ(r->Find("model.i8")->dtype, DType::kI8);
    EXPECT_EQ(static_cast<int8_t>(r->Find("model.i8")->data[0]), -128);
    EXPECT_EQ(r->Find("model.u8")->dtype, DType::kU8);
    EXPECT_EQ(static_cast<uint8_t>(r->Find("model.u8")->data[1]), 255);
    EXPECT_EQ(r->Find("model.i32")->dtype, DType::kI32);
    EXPECT_EQ(*reinterpret_cast<const int64_t*>(r->Find("model.i64")->data), int64_t{1} << 40);
    EXPECT_THAT(values("model.parameter"), ElementsAre(3));
    EXPECT_THAT(values("5.w"), ElementsAre(9));
  }
}

TEST(TorchFile, RefusesWhatItCannotRead) {
  const auto error = [](std::string_view name) {
    return ReadTorchFile(fmt::format("tests/golden/torch/{}.bin", name)).status();
  };
  EXPECT_EQ(error("legacy").code(), Code::kUnsupported);
  EXPECT_THAT(error("legacy").message(), HasSubstr("torch before 1.6"));
  EXPECT_EQ(error("double").code(), Code::kUnsupported);
  EXPECT_EQ(error("double").message(),
            "tests/golden/torch/double.bin: tensor w: DoubleStorage is not supported");
  EXPECT_THAT(error("float8").message(),
              HasSubstr("calls torch._utils._rebuild_tensor_v3; refusing"));
  EXPECT_EQ(error("module").message(),
            "tests/golden/torch/module.bin: calls torch.nn.modules.linear.Linear; "
            "refusing to execute code");
  EXPECT_EQ(error("none").code(), Code::kNotFound);
}

TEST(TorchFile, RefusesEveryTruncation) {
  const std::string whole = ReadBytes("tests/golden/torch/protocol2.bin");
  ASSERT_TRUE(Parse(whole).ok());
  for (size_t n = 0; n < whole.size(); n += 7)
    EXPECT_FALSE(Parse(whole.substr(0, n)).ok()) << n;
}

TEST(TorchFile, ContiguousTensorsAreNotCopied) {
  // "t/data/0" begins 30 + 8 + 3 bytes into the archive; the buffer below puts it on a float.
  const std::string zip =
      MakeZip({{"t/data/0", "12345678"}, {"t/data.pkl", PickleOf("FloatStorage", 2, 2, 1)}});
  auto owner = std::make_shared<std::vector<float>>(zip.size() / 4 + 2);
  for (const size_t shift : {size_t{3}, size_t{0}}) {
    auto* start = reinterpret_cast<std::byte*>(owner->data()) + shift;
    std::memcpy(start, zip.data(), zip.size());
    const auto r = ParseTorchFile({start, zip.size()}, owner);
    ASSERT_TRUE(r.ok()) << r.status().message();
    const Weight& w = *r->Find("w");
    EXPECT_EQ(w.data == start + 41, shift == 3);
    EXPECT_EQ(w.owner == owner, shift == 3);
    EXPECT_EQ(std::memcmp(w.data, "12345678", 8), 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(w.data) % 4, 0u);
  }
}

TEST(TorchFile, RefusesBadStorages) {
  const std::string pickle = PickleOf("FloatStorage", 2, 2, 1);
  const auto error = [](const Files& files) { return Parse(MakeZip(files)).status().message(); };
  ASSERT_EQ(error({{"t/data.pkl", pickle}, {"t/data/0", "12345678"}}), "");
  EXPECT_THAT(error({{"t/data.pkl", pickle}, {"t/data/0", "1234567"}}),
              HasSubstr("tensor w: entry data/0 has 7 bytes, too few for 2 elements"));
  EXPECT_THAT(error({{"t/data.pkl", pickle}, {"t/data/1", "12345678"}}),
              HasSubstr("tensor w: the archive has no entry data/0"));
  EXPECT_THAT(error({{"t/data.pkl", pickle}, {"u/data/0", "12345678"}}),
              HasSubstr("more than one top folder"));
  EXPECT_THAT(error({{"data.pkl", pickle}}), HasSubstr("not in a folder"));
  EXPECT_THAT(error({{"t/model.pkl", pickle}}), HasSubstr("no data.pkl"));
  EXPECT_THAT(error({{"t/data.pkl", pickle}, {"t/data/0", "12345678"}, {"t/byteorder", "big"}}),
              HasSubstr("not little endian"));
}

TEST(TorchFile, CopiesAreBoundedByTheFile) {
  const auto code = [](int size) {
    return Parse(MakeZip(
                     {{"t/data.pkl", PickleOf("FloatStorage", 1, size, 0)}, {"t/data/0", "1234"}}))
        .status()
        .code();
  };
  EXPECT_EQ(code(50), Code::kOk);
  EXPECT_EQ(code(200), Code::kTooLarge);
}

// Not in the repository: two trained models.
TEST(TorchFile, ReadsPublishedWeights) {
  const char* data = std::getenv("OCTET_DATA");
  const std::filesystem::path folder =
      std::filesystem::path(data ? data : "../shared/data") / "weights";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder << "; set OCTET_DATA";
  for (const char* name : {"s4d_mnist.pth", "s4d_cifar10.pth"}) {
    const auto r = ReadTorchFile((folder / name).string());
    ASSERT_TRUE(r.ok()) << r.status().message();
    const Weight* encoder = r->Find("model.encoder.weight");
    ASSERT_NE(encoder, nullptr);
    EXPECT_EQ(encoder->dtype, DType::kF32);
    EXPECT_EQ(encoder->shape.size(), 2u);
    for (const float v : ToF32(*encoder))
      EXPECT_LT(std::abs(v), 100.0f);
  }
}

}  // namespace
}  // namespace octet
