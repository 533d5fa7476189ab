// Contracts of io/checkpoint.h:
//  - each layout is found, in the stated order, and gives the same tensors;
//  - an index names plain files inside the folder, which hold exactly what it says;
//  - errors name the file and the tensor.
#include "io/checkpoint.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "io/safetensors.h"
#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const ScratchFolder& folder) {
  const auto r = OpenCheckpoint(folder.path());
  return r.ok() ? "accepted" : r.status().message();
}

// A folder with the shards "1" (tensors a, b) and "2" (tensor c), and this index.
void WriteShards(const ScratchFolder& folder, std::string_view weight_map) {
  const auto w = [](float v) { return MakeWeight({v}, {1}); };
  ASSERT_TRUE(WriteSafetensors(folder.At("1"), {{"a", w(1)}, {"b", w(2)}}, {}).ok());
  ASSERT_TRUE(WriteSafetensors(folder.At("2"), {{"c", w(3)}}, {}).ok());
  folder.Write("model.safetensors.index.json",
               fmt::format(R"({{"metadata": {{}}, "weight_map": {}}})", weight_map));
}

TEST(Checkpoint, OpensTheModelOfTheRepository) {
  const auto r = OpenCheckpoint("models/books-mamba2-5m");
  ASSERT_TRUE(r.ok()) << r.status().message();
  const Weight* embedding = r->Find("backbone.embeddings.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->shape.size(), 2u);
}

TEST(Checkpoint, FirstLayoutThatExistsWins) {
  const ScratchFolder folder;
  EXPECT_EQ(OpenCheckpoint(folder.path()).status().code(), Code::kNotFound);
  EXPECT_THAT(ErrorOf(folder), HasSubstr("holds no weights"));
  EXPECT_EQ(OpenCheckpoint(folder.At("none")).status().code(), Code::kNotFound);

  const auto has = [&](const char* name) {
    const auto r = OpenCheckpoint(folder.path());
    EXPECT_TRUE(r.ok()) << r.status().message();
    return r.ok() && r->Find(name) != nullptr;
  };
  folder.Write("weights", ReadBytes("tests/golden/torch/small.bin"));
  folder.Write("pytorch_model.bin.index.json", R"({"weight_map": {"w": "weights"}})");
  EXPECT_TRUE(has("w"));
  folder.Write("pytorch_model.bin", ReadBytes("tests/golden/torch/small.bin"));
  folder.Write("weights", "");
  EXPECT_TRUE(has("w"));
  WriteShards(folder, R"({"a": "1", "c": "2", "b": "1"})");
  EXPECT_TRUE(has("c"));
  ASSERT_TRUE(
      WriteSafetensors(folder.At("model.safetensors"), {{"x", MakeWeight({1}, {1})}}, {}).ok());
  EXPECT_TRUE(has("x"));
}

TEST(Checkpoint, ShardsGiveAllTensors) {
  const ScratchFolder folder;
  WriteShards(folder, R"({"a": "1", "c": "2", "b": "1"})");
  const auto r = OpenCheckpoint(folder.path());
  ASSERT_TRUE(r.ok()) << r.status().message();
  EXPECT_EQ(r->all().size(), 3u);
  EXPECT_EQ(ToF32(*r->Find("b")), std::vector<float>{2});
  EXPECT_EQ(ToF32(*r->Find("c")), std::vector<float>{3});
}

TEST(Checkpoint, ShardsMustAgreeWithTheIndex) {
  const ScratchFolder folder;
  WriteShards(folder, R"({"a": "1", "c": "2"})");
  EXPECT_THAT(ErrorOf(folder),
              HasSubstr("/1: holds what model.safetensors.index.json does not place there: b"));
  WriteShards(folder, R"({"a": "1", "b": "1", "c": "2", "d": "2"})");
  EXPECT_THAT(ErrorOf(folder),
              HasSubstr("/2: lacks what model.safetensors.index.json places there: d"));
  WriteShards(folder, R"({"a": "2", "b": "1", "c": "2"})");
  EXPECT_THAT(ErrorOf(folder), HasSubstr("does not place there: a"));
  WriteShards(folder, R"({"a": "1", "b": "1", "c": "3"})");
  EXPECT_THAT(ErrorOf(folder), HasSubstr("/3: shard of model.safetensors.index.json is missing"));
  WriteShards(folder, R"({"a": "1", "b": "1", "d": "2", "e": "2", "f": "2", "g": "2", "h": "2"})");
  EXPECT_THAT(ErrorOf(folder), HasSubstr("places there: d, e, f and 2 more"));
}

TEST(Checkpoint, ShardsStayInTheFolder) {
  const ScratchFolder outside, folder;
  ASSERT_TRUE(WriteSafetensors(outside.At("1"), {{"a", MakeWeight({1}, {1})}}, {}).ok());
  for (const std::string& name :
       {outside.At("1"), std::string("../1"), std::string("x/../1"), std::string(".."),
        std::string("."), std::string(), std::string("a\\\\b"), std::string("1\\u0000"),
        std::string(300, 'a')}) {
    WriteShards(folder, fmt::format(R"({{"a": "{}"}})", name));
    EXPECT_THAT(ErrorOf(folder), HasSubstr("tensor a: its shard is not a plain file name")) << name;
  }
}

TEST(Checkpoint, MalformedIndex) {
  const ScratchFolder folder;
  for (const char* map : {"1", "[]", "null", "{}"}) {
    WriteShards(folder, map);
    EXPECT_THAT(ErrorOf(folder), HasSubstr("model.safetensors.index.json: \"weight_map\"")) << map;
  }
  WriteShards(folder, R"({"a": 1})");
  EXPECT_THAT(ErrorOf(folder), HasSubstr("tensor a: its shard"));
  WriteShards(folder, R"({"a": "1", "a": "2"})");
  EXPECT_THAT(ErrorOf(folder), HasSubstr("duplicate member name \"a\""));
}

TEST(Checkpoint, ErrorsNameFileAndTensor) {
  const ScratchFolder folder;
  const Weight i64 = MakeWeight(DType::kI64, std::vector<std::byte>(8), {1});
  ASSERT_TRUE(WriteSafetensors(folder.At("model.safetensors"), {{"steps", i64}}, {}).ok());
  EXPECT_EQ(OpenCheckpoint(folder.path()).status().code(), Code::kUnsupported);
  EXPECT_EQ(ErrorOf(folder),
            folder.At("model.safetensors") + ": tensor steps: element type i64 is not supported");
  const Weight i32 = MakeWeight(DType::kI32, std::vector<std::byte>(4), {1});
  ASSERT_TRUE(WriteSafetensors(folder.At("model.safetensors"), {{"steps", i32}}, {}).ok());
  EXPECT_THAT(ErrorOf(folder), HasSubstr("element type i32 is not supported"));
  ASSERT_TRUE(
      WriteSafetensors(folder.At("model.safetensors"), {{"encodings.a.rows", i32}}, {}).ok());
  EXPECT_TRUE(OpenCheckpoint(folder.path()).ok()) << "which row has which scale";
  folder.Write("model.safetensors", "x");
  EXPECT_EQ(ErrorOf(folder),
            folder.At("model.safetensors") + ": not a safetensors file: shorter than 8 bytes");
  std::filesystem::remove(folder.At("model.safetensors"));
  folder.Write("pytorch_model.bin", ReadBytes("tests/golden/torch/module.bin"));
  EXPECT_EQ(ErrorOf(folder),
            folder.At("pytorch_model.bin") +
                ": calls torch.nn.modules.linear.Linear; refusing to execute code");
}

}  // namespace
}  // namespace octet
