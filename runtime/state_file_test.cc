// Contracts of saved states:
//  1. A stream that continues from bytes, or from a file, gives the bits of never having stopped,
//     for every format of the state, in float and in int8.
//  2. Bytes that are cut off, longer, changed anywhere or of another model are refused, naming
//  where
//     they are from; so is a body that has its check sum but holds no number or no code.
//  3. A file appears whole or not at all; its size does not depend on the text.
#include "runtime/state_file.h"

#include <cstring>
#include <filesystem>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "exec/quantized_model_testing.h"
#include "io/scratch_folder.h"
#include "runtime/session.h"

namespace octet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::shared_ptr<const Model> MakeModel(bool int8, const std::string& state, uint64_t seed = 5) {
  QuantizedParts q = MakeQuantizedParts();
  if (!int8) q = {MakeBlocks(QuantizedSizes()), MakeBlockWeights(QuantizedSizes(), seed)};
  SetState(state, &q.graph);
  return *Model::Create(q.graph, q.weights, Json(), std::nullopt, {});
}

std::vector<float> Feed(Session* session, int count) {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < count; ++i) {
    ids.push_back((3 + i * i) % 11);
  }
  std::vector<float> last(static_cast<size_t>(session->model().vocab_rows()));
  EXPECT_TRUE(session->Feed(ids, last).ok());
  return last;
}

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(StateFile, ContinuesWithTheSameBits) {
  const ScratchFolder folder;
  const auto pool = std::make_shared<ThreadPool>(1);
  for (const bool int8 : {false, true}) {
    for (const std::string& format : StateFormatNames()) {
      const auto model = MakeModel(int8, format);
      Session session(model, pool), from_bytes(model, pool), from_file(model, pool);
      Feed(&session, 19);
      const std::string saved = SaveState(*model, session.state());
      const std::string path = folder.At("state");
      const Status written = WriteState(*model, session.state(), path);
      ASSERT_TRUE(written.ok()) << written.message();
      EXPECT_EQ(static_cast<size_t>(std::filesystem::file_size(path)), saved.size());
      const auto read = LoadState(*model, Bytes(saved), "bytes");
      ASSERT_TRUE(read.ok()) << format << ": " << read.status().message();
      EXPECT_TRUE(*read == session.state()) << format;
      const auto read_file = ReadState(*model, path);
      ASSERT_TRUE(read_file.ok()) << read_file.status().message();
      from_bytes.Restore(*read);
      from_file.Restore(*read_file);
      const std::vector<float> want = Feed(&session, 12);
      EXPECT_EQ(Feed(&from_bytes, 12), want) << format;
      EXPECT_EQ(Feed(&from_file, 12), want) << format;
      EXPECT_EQ(SaveState(*model, session.state()).size(), saved.size());
    }
  }
}

TEST(StateFile, DamageAndStrangersAreRefused) {
  const auto model = MakeModel(true, "i8");
  Session session(model, std::make_shared<ThreadPool>(1));
  Feed(&session, 7);
  const std::string saved = SaveState(*model, session.state());
  const auto refused = [&](const std::string& bytes, Code code, const char* reason) {
    const auto state = LoadState(*model, Bytes(bytes), "the state");
    ASSERT_FALSE(state.ok());
    EXPECT_EQ(state.status().code(), code) << state.status().message();
    EXPECT_THAT(state.status().message(), StartsWith("the state: "));
    EXPECT_THAT(state.status().message(), HasSubstr(reason));
  };
  refused("", Code::kCorrupt, "is not a saved state");
  refused("octet state 2\n" + saved.substr(14), Code::kCorrupt, "is not a saved state");
  refused(saved.substr(0, 100), Code::kCorrupt, "cut off");
  refused(saved.substr(0, saved.size() - 1), Code::kCorrupt, "damaged or cut off");
  refused(saved + '\0', Code::kCorrupt, "damaged or cut off");
  for (const size_t at : {size_t{90}, size_t{150}, saved.size() - 1}) {
    std::string damaged = saved;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    refused(damaged, Code::kCorrupt, "damaged");
  }
  for (const auto& other : {MakeModel(true, "i8+ef"), MakeModel(false, "i8")}) {
    refused(SaveState(*other, State(other->graph())), Code::kInvalidArgument, "another model");
  }
  const auto one = MakeModel(false, "f32", 5), two = MakeModel(false, "f32", 6);
  const auto mixed = LoadState(*two, Bytes(SaveState(*one, State(one->graph()))), "x");
  EXPECT_EQ(mixed.status().message(), "x: is a saved state of another model");
}

constexpr size_t kHeader = 14 + 2 * 64;

// A saved state with `value` at `at`, or else as its last bytes, under a check sum that fits.
template <class T>
Status LoadWith(const Model& model, T value, size_t at = 0) {
  std::string bytes = SaveState(model, State(model.graph()));
  if (at == 0) at = bytes.size() - sizeof(value);
  std::memcpy(bytes.data() + at, &value, sizeof(value));
  const std::string body = bytes.substr(kHeader);
  bytes.replace(14 + 64, 64, Sha256Hex(Bytes(body)));
  return LoadState(model, Bytes(bytes), "x").status();
}

TEST(StateFile, WhatNoStreamRemembersIsRefused) {
  const auto floats = MakeModel(false, "f32"), i16 = MakeModel(false, "i16");
  const auto fixed = MakeModel(false, "i8s");
  EXPECT_TRUE(LoadWith(*floats, 1.0f).ok());
  EXPECT_EQ(LoadWith(*floats, std::numeric_limits<float>::quiet_NaN()).code(), Code::kCorrupt);
  EXPECT_EQ(LoadWith(*i16, std::numeric_limits<float>::infinity()).code(), Code::kCorrupt);
  EXPECT_TRUE(LoadWith(*fixed, int8_t{-127}).ok());
  EXPECT_EQ(LoadWith(*fixed, int8_t{-128}).code(), Code::kCorrupt);
  // After 3 rows of 3 * 11 + 2 * 5 channels.
  constexpr size_t kCodes = kHeader + 8 + 3 * 43 * 4;
  EXPECT_TRUE(LoadWith(*i16, int16_t{-32767}, kCodes).ok());
  EXPECT_EQ(LoadWith(*i16, int16_t{-32768}, kCodes).code(), Code::kCorrupt);
  EXPECT_TRUE(LoadWith(*floats, int64_t{1} << 62, kHeader).ok());
  EXPECT_EQ(LoadWith(*floats, (int64_t{1} << 62) + 1, kHeader).code(), Code::kCorrupt);
  EXPECT_EQ(LoadWith(*floats, int64_t{-1}, kHeader).code(), Code::kCorrupt);
  // A convolution with an encoded input remembers codes.
  QuantizedParts q = MakeQuantizedParts();
  q.graph.encodings["layers.0.xBC_in"] = {DType::kI8, ScaleSource::kStatic, {0.25f}};
  const auto codes = *Model::Create(q.graph, q.weights, Json(), std::nullopt, {});
  EXPECT_TRUE(LoadWith(*codes, int8_t{-127}, kHeader + 8).ok());
  EXPECT_EQ(LoadWith(*codes, int8_t{-128}, kHeader + 8).code(), Code::kCorrupt);
}

TEST(StateFile, FilesThatAreNone) {
  const ScratchFolder folder;
  const auto model = MakeModel(false, "f32");
  const State state(model->graph());
  EXPECT_EQ(ReadState(*model, folder.At("none")).status().code(), Code::kNotFound);
  EXPECT_EQ(ReadState(*model, folder.path()).status().code(), Code::kInvalidArgument);
  folder.Write("long", SaveState(*model, state) + "x");
  const Status status = ReadState(*model, folder.At("long")).status();
  EXPECT_EQ(status.message(),
            folder.At("long") + ": is not a saved state of this model: it is too long");
  EXPECT_EQ(WriteState(*model, state, folder.At("no/folder")).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace octet
