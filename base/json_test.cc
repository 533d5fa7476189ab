// Contracts of base/json.h:
//  - Parse(Dump(v)) == v for every value, with any indentation, and equal values give equal bytes;
//  - bare Infinity, -Infinity and NaN are values, but only outside strings and never member names;
//  - malformed, duplicate, too deep or non-UTF-8 text is refused with its line and column;
//  - ParseFile names the file and refuses what is absent, too large or no regular file.
#include "base/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

namespace octet {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string ErrorOf(std::string_view text) {
  const Result<Json> r = Json::Parse(text);
  if (r.ok()) return "accepted: " + r->Dump(-1);
  EXPECT_EQ(r.status().code(), Code::kCorrupt);
  return r.status().message();
}

// Random text: ASCII with control characters and escapes, and multi-byte characters.
std::string RandomString() {
  std::string out;
  for (const int c : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 140))) {
    if (c < 128) {
      out.push_back(static_cast<char>(c));
    } else {
      out.append(c % 2 == 0 ? "\xc3\xa9" : "\xf0\x9f\x90\x8d");
    }
  }
  return out;
}

Json RandomJson(int depth) {
  const int kind = *rc::gen::inRange(0, depth == 0 ? 5 : 7);
  switch (kind) {
    case 0:
      return {};
    case 1:
      return *rc::gen::arbitrary<bool>();
    case 2:
      return *rc::gen::arbitrary<int64_t>();
    case 3: {
      const double v = std::bit_cast<double>(*rc::gen::arbitrary<uint64_t>());
      return std::isfinite(v) ? v : *rc::gen::arbitrary<double>();
    }
    case 4:
      return RandomString();
    default:
      break;
  }
  Json out = kind == 5 ? Json::MakeArray() : Json::MakeObject();
  const int size = *rc::gen::inRange(0, 4);
  for (int i = 0; i < size; ++i) {
    if (kind == 5) {
      out.Append(RandomJson(depth - 1));
    } else {
      out.Set(RandomString(), RandomJson(depth - 1));
    }
  }
  return out;
}

RC_GTEST_PROP(Json, DumpThenParseGivesTheSameValueAndBytes, ()) {
  const Json v = RandomJson(4);
  const int indent = *rc::gen::inRange(-1, 4);
  const std::string text = v.Dump(indent);
  const Result<Json> back = Json::Parse(text);
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == v);
  RC_ASSERT(back->Dump(indent) == text);
}

RC_GTEST_PROP(Json, AnyBytesAreAcceptedOrRefusedWithAPosition, ()) {
  const auto alphabet = rc::gen::elementOf(std::string("{}[]\",:-0123eE.\\unaNtrfIity \n\xff"));
  const auto text = *rc::gen::container<std::string>(alphabet);
  const Result<Json> r = Json::Parse(text);
  if (!r.ok()) RC_ASSERT(r.status().message().starts_with("line "));
}

TEST(Json, Layout) {
  Json v;
  v.Set("b", Json::Array{1, 2.0, Json::MakeArray()});
  v.Set("a", Json::MakeObject());
  v.Set("b2", "x\ty\x01");
  EXPECT_EQ(v.Dump(-1), R"({"b": [1, 2.0, []], "a": {}, "b2": "x\ty\u0001"})");
  EXPECT_EQ(
      v.Dump(2),
      "{\n  \"b\": [\n    1,\n    2.0,\n    []\n  ],\n  \"a\": {},\n  \"b2\": \"x\\ty\\u0001\"\n}");
}

TEST(Json, NumbersAreShortest) {
  EXPECT_EQ(Json(0.1).Dump(), "0.1");
  EXPECT_EQ(Json(-0.0).Dump(), "-0.0");
  EXPECT_EQ(Json(1e300).Dump(), "1e+300");
  EXPECT_EQ(Json(std::numeric_limits<int64_t>::min()).Dump(), "-9223372036854775808");
  EXPECT_EQ(Json(kInfinity).Dump(), "\"Infinity\"");
  EXPECT_EQ(Json(-kInfinity).Dump(), "\"-Infinity\"");
  EXPECT_EQ(Json(std::nan("")).Dump(), "\"NaN\"");
}

TEST(Json, IntegersBeyondInt64AreDoubles) {
  EXPECT_EQ(Json::Parse("9223372036854775807")->AsInt(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(*Json::Parse("9223372036854775808"), Json(0x1p63));
  EXPECT_EQ(*Json::Parse("-9223372036854775809"), Json(-0x1p63));
  EXPECT_EQ(*Json::Parse("1000000000000000019884624838656"), Json(1e30));
}

TEST(Json, BareWords) {
  const Result<Json> v =
      Json::Parse(R"({"time_step_limit": [0.0, Infinity, -Infinity,NaN], "Infinity": "x\"NaN\\"})");
  ASSERT_TRUE(v.ok()) << v.status().message();
  const Json& limit = *v->Find("time_step_limit");
  EXPECT_EQ(*limit.AsArray()[1].AsNumber(), kInfinity);
  EXPECT_EQ(*limit.AsArray()[2].AsNumber(), -kInfinity);
  EXPECT_EQ(limit.AsArray()[3].AsString(), "NaN");
  EXPECT_EQ(v->Find("Infinity")->AsString(), "x\"NaN\\");
  EXPECT_TRUE(Json::Parse("NaN").ok());
  for (const char* text :
       {"{NaN: 1}", "{Infinity : 1}", "--Infinity", "1NaN", "NaN1", "Inf", "nan"}) {
    EXPECT_TRUE(ErrorOf(text).starts_with("line 1, column ")) << text << ": " << ErrorOf(text);
  }
  EXPECT_TRUE(ErrorOf("[NaN,\n NaN, ?]").starts_with("line 2, column 7: "))
      << ErrorOf("[NaN,\n NaN, ?]");
}

TEST(Json, AsNumberSpellings) {
  EXPECT_EQ(*Json(3).AsNumber(), 3.0);
  EXPECT_EQ(*Json(0.5).AsNumber(), 0.5);
  EXPECT_EQ(*Json("inf").AsNumber(), kInfinity);
  EXPECT_EQ(*Json("-inf").AsNumber(), -kInfinity);
  EXPECT_EQ(*Json::Parse(R"({"__float__": "Infinity"})")->AsNumber(), kInfinity);
  for (const char* text : {"NaN", "\"nan\"", "null", "true", "[]", "{}", "\"1\"",
                           R"({"__float__": 1})", R"({"__float__": "NaN"})"}) {
    EXPECT_FALSE(Json::Parse(text)->AsNumber().ok()) << text;
  }
  EXPECT_FALSE(Json(std::nan("")).AsNumber().ok());
}

TEST(Json, RefusesMalformedTextWithItsPosition) {
  EXPECT_TRUE(ErrorOf("").starts_with("line 1, column 1: ")) << ErrorOf("");
  EXPECT_TRUE(ErrorOf("{\"a\": 1,\n  ?}").starts_with("line 2, column 3: "))
      << ErrorOf("{\"a\": 1,\n  ?}");
  EXPECT_EQ(ErrorOf("{\"a\": 1,\n \"a\": 2}"), "line 2, column 4: duplicate member name \"a\"");
  EXPECT_EQ(ErrorOf(R"({"a": 1, "\u0061": 2})"), "line 1, column 17: duplicate member name \"a\"");
  EXPECT_EQ(ErrorOf(std::string_view("{}\0x", 4)), "line 1, column 3: zero byte");
  for (const char* text : {"{", "[1,]", "{\"a\"}", "{} {}", "[1] x", "01", "1.", "+1", "'a'", "\"a",
                           "\"\n\"", "\"\\x\"", "\"\\ud800\"", "// c\n1", "1e999", "tru"}) {
    EXPECT_TRUE(ErrorOf(text).starts_with("line ")) << text << ": " << ErrorOf(text);
  }
}

TEST(Json, WhatItWritesIsUtf8) {
  Json j = Json::MakeObject();
  j.Set("caf\xe9", "r\xffs");
  const Result<Json> back = Json::Parse(j.Dump());
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(back->Find("caf\xEF\xBF\xBD")->AsString(), "r\xEF\xBF\xBDs");
}

TEST(Json, RefusesInvalidUtf8WithoutQuotingIt) {
  for (const char* text : {"\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xc0\xaf\"", "\xff"}) {
    const std::string message = ErrorOf(text);
    EXPECT_TRUE(message.starts_with("line 1, column ")) << message;
    for (const char c : message)
      EXPECT_GE(c, ' ') << message;
  }
}

TEST(Json, DepthLimitIs64) {
  EXPECT_TRUE(Json::Parse(std::string(64, '[') + std::string(64, ']')).ok());
  EXPECT_EQ(ErrorOf(std::string(65, '[') + std::string(65, ']')),
            "line 1, column 65: nested deeper than 64 levels");
  EXPECT_EQ(ErrorOf(std::string(1 << 20, '[')), "line 1, column 65: nested deeper than 64 levels");
  std::string objects;
  for (int i = 0; i < 65; ++i)
    objects += "{\"a\":";
  EXPECT_EQ(ErrorOf(objects), "line 1, column 321: nested deeper than 64 levels");
}

TEST(Json, LongInputIsNotRepeatedInTheError) {
  const std::string longest(100000, '9');
  for (const char* text : {"[{0}", "\"{0}", "[tru{0}]", R"({{"{0}": 1, "{0}": 1}})"}) {
    EXPECT_LT(ErrorOf(fmt::format(fmt::runtime(text), longest)).size(), 300u) << text;
  }
}

TEST(Json, SetEraseFind) {
  Json v;
  v.Set("a", 1);
  v.Set("b", 2);
  v.Set("a", "x");
  EXPECT_EQ(v.Dump(-1), R"({"a": "x", "b": 2})");
  v.Erase("a");
  v.Erase("none");
  EXPECT_EQ(v.Find("a"), nullptr);
  EXPECT_EQ(v.Find("b")->AsInt(), 2);
  EXPECT_EQ(Json(1).Find("a"), nullptr);
}

class JsonFile : public testing::Test {
 protected:
  JsonFile() { std::filesystem::create_directories(folder_); }
  ~JsonFile() override { std::filesystem::remove_all(folder_); }
  std::string Write(const std::string& text) {
    std::ofstream(folder_ + "/f.json") << text;
    return folder_ + "/f.json";
  }
  std::string folder_ = testing::TempDir() + "json_test_" + std::to_string(getpid());
};

TEST_F(JsonFile, ReadsAndNamesTheFile) {
  const std::string path = Write("{\"a\": 1}");
  EXPECT_EQ(Json::ParseFile(path, 8)->Find("a")->AsInt(), 1);
  EXPECT_EQ(Json::ParseFile(path, 7).status().code(), Code::kTooLarge);
  EXPECT_TRUE(Json::ParseFile(path, 7).status().message().starts_with(path + ": "));
  EXPECT_TRUE(Json::ParseFile(Write("[1"), 8).status().message().starts_with(path + ": line 1"));
}

TEST_F(JsonFile, RefusesWhatIsNoFile) {
  EXPECT_EQ(Json::ParseFile(folder_ + "/none", 8).status().code(), Code::kNotFound);
  EXPECT_EQ(Json::ParseFile(folder_, 1 << 20).status().message(), folder_ + ": not a regular file");
  EXPECT_EQ(Json::ParseFile("/dev/zero", 8).status().message(), "/dev/zero: not a regular file");
}

}  // namespace
}  // namespace octet
