// Contracts of io/pickle.h:
//  - tensors, parameters and nested dictionaries are found; other leaves are ignored;
//  - every way to name or call code other than the known constructors is refused, naming it;
//  - malformed programs, tensors outside their storage and exponential structures are refused in
//    bounded time. (Pickles made by torch itself: io/torch_file_test.cc.)
#include "io/pickle.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::string_literals;

Result<std::vector<PickledTensor>> Parse(std::string_view pickle) {
  return ParsePickle(std::as_bytes(std::span(pickle)));
}

std::string Text(std::string_view s) {
  return fmt::format("\x8c{}{}", static_cast<char>(s.size()), s);
}

// LONG1 with 8 bytes.
std::string Int(int64_t v) {
  std::string out = "\x8a\x08";
  for (int i = 0; i < 8; ++i)
    out.push_back(static_cast<char>(v >> (8 * i)));
  return out;
}

std::string Ints(const std::vector<int64_t>& values) {
  std::string out = "(";
  for (const int64_t v : values)
    out += Int(v);
  return out + "t";
}

std::string Global(std::string_view module, std::string_view name) {
  return fmt::format("c{}\n{}\n", module, name);
}

const std::string kHead = "\x80\x02";
const std::string kRebuild = Global("torch._utils", "_rebuild_tensor_v2");

std::string StorageOf(int64_t count) {
  return "("s + Text("storage") + Global("torch", "FloatStorage") + Text("0") + Text("cpu") +
         Int(count) + "tQ";
}

std::string Tensor(int64_t count, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides) {
  return kRebuild + "(" + StorageOf(count) + Int(offset) + Ints(shape) + Ints(strides) + "\x89" +
         Global("collections", "OrderedDict") + ")RtR";
}

// {"w": value}
std::string InDict(const std::string& value) {
  return kHead + "}" + Text("w") + value + "s.";
}

std::string ErrorOf(const std::string& pickle) {
  const auto r = Parse(pickle);
  if (r.ok()) return "accepted";
  switch (r.status().code()) {
    case Code::kCorrupt:
      return "corrupt "s + r.status().message();
    case Code::kUnsupported:
      return "unsupported "s + r.status().message();
    case Code::kTooLarge:
      return "too large "s + r.status().message();
    default:
      return "other "s + r.status().message();
  }
}

TEST(Pickle, FindsATensor) {
  const auto r = Parse(InDict(Tensor(10, 2, {2, 3}, {3, 1})));
  ASSERT_TRUE(r.ok()) << r.status().message();
  ASSERT_EQ(r->size(), 1u);
  const PickledTensor& t = (*r)[0];
  EXPECT_EQ(t.name, "w");
  EXPECT_EQ(t.storage, "0");
  EXPECT_EQ(t.storage_type, "FloatStorage");
  EXPECT_EQ(t.storage_count, 10);
  EXPECT_EQ(t.offset, 2);
  EXPECT_THAT(t.shape, ElementsAre(2, 3));
  EXPECT_THAT(t.strides, ElementsAre(3, 1));
}

TEST(Pickle, FindsNestedTensorsAndIgnoresOtherLeaves) {
  const std::string tensor = Tensor(1, 0, {}, {});
  const std::string leaves = Text("n") + "N" + Text("f") + "G12345678" + Text("l") + "](" + Int(1) +
                             tensor + "e" + Text("t") + Int(1) + tensor + "\x86";
  const auto r = Parse(kHead + "}(" + Text("a") + "}" + Int(7) + tensor + "s" + leaves + Text("b") +
                       tensor + "u.");
  ASSERT_TRUE(r.ok()) << r.status().message();
  ASSERT_EQ(r->size(), 2u);
  EXPECT_EQ((*r)[0].name, "a.7");
  EXPECT_EQ((*r)[1].name, "b");
  EXPECT_THAT(*Parse(kHead + "}."), IsEmpty());
}

TEST(Pickle, LastElementMayBeTheStoragesLast) {
  EXPECT_EQ(ErrorOf(InDict(Tensor(6, 0, {2, 3}, {1, 2}))), "accepted");
  EXPECT_EQ(ErrorOf(InDict(Tensor(1, 0, {4, 4}, {0, 0}))), "accepted");
  EXPECT_EQ(ErrorOf(InDict(Tensor(0, 9, {0, 3}, {3, 1}))), "accepted");
}

// Such a stride may be anything, and must not enter anybody's arithmetic.
TEST(Pickle, StrideOfADimensionWithoutASecondIndexIsZero) {
  const auto strides = [](const std::vector<int64_t>& shape) {
    return (*Parse(InDict(Tensor(3, 0, shape, {INT64_MAX, 1}))))[0].strides;
  };
  EXPECT_THAT(strides({1, 3}), ElementsAre(0, 1));
  EXPECT_THAT(strides({5, 0}), ElementsAre(0, 0));
}

TEST(Pickle, RefusesTensorsThatLeaveTheirStorage) {
  const std::string beyond = "corrupt a tensor reaches beyond its storage 0";
  EXPECT_THAT(ErrorOf(InDict(Tensor(5, 0, {2, 3}, {3, 1}))), HasSubstr(beyond));
  EXPECT_THAT(ErrorOf(InDict(Tensor(6, 1, {2, 3}, {3, 1}))), HasSubstr(beyond));
  EXPECT_THAT(ErrorOf(InDict(Tensor(0, 0, {}, {}))), HasSubstr(beyond));
  EXPECT_THAT(ErrorOf(InDict(Tensor(6, INT64_MAX, {2}, {1}))), HasSubstr(beyond));
  EXPECT_THAT(ErrorOf(InDict(Tensor(6, 0, {3}, {INT64_MAX}))), HasSubstr(beyond));
  EXPECT_THAT(ErrorOf(InDict(Tensor(6, 1, {2}, {INT64_MAX}))), HasSubstr(beyond));
  EXPECT_THAT(ErrorOf(InDict(Tensor(1, 0, {INT64_MAX, 2}, {0, 0}))), HasSubstr("size overflows"));
}

TEST(Pickle, RefusesMalformedTensors) {
  EXPECT_THAT(ErrorOf(InDict(Tensor(6, -1, {2}, {1}))), HasSubstr("corrupt malformed"));
  EXPECT_THAT(ErrorOf(InDict(Tensor(-6, 0, {2}, {1}))), HasSubstr("corrupt malformed"));
  EXPECT_THAT(ErrorOf(InDict(Tensor(6, 0, {-2}, {1}))), HasSubstr("size is not an integer"));
  EXPECT_THAT(ErrorOf(InDict(Tensor(6, 0, {2}, {-1}))), HasSubstr("size is not an integer"));
  EXPECT_THAT(ErrorOf(InDict(Tensor(6, 0, {2}, {1, 1}))), HasSubstr("sizes and strides differ"));
  const std::vector<int64_t> nine(9, 1);
  EXPECT_THAT(ErrorOf(InDict(Tensor(6, 0, nine, nine))), HasSubstr("9 dimensions"));
  EXPECT_THAT(ErrorOf(InDict(kRebuild + "(tR")), HasSubstr("not described as torch does"));
  EXPECT_THAT(ErrorOf(InDict(kRebuild + "(NNNNNNtR")), HasSubstr("not described as torch does"));
  EXPECT_THAT(ErrorOf(InDict("NQ")), HasSubstr("not described by a tuple"));
  EXPECT_THAT(ErrorOf(InDict("(NNNNNtQ")), HasSubstr("storage is not described"));
  EXPECT_THAT(ErrorOf(InDict(Global("torch._utils", "_rebuild_parameter") + "(NNNtR")),
              HasSubstr("parameter is not made from a tensor"));
}

// The exploits that pickle is known for, and each opcode that can name or call something.
TEST(Pickle, RefusesToExecute) {
  const std::string system = "calls os.system; refusing to execute code";
  const std::string command = "("s + Text("touch pwned") + "t";
  EXPECT_EQ(ErrorOf(kHead + Global("os", "system") + command + "R."), "unsupported "s + system);
  EXPECT_EQ(ErrorOf(kHead + "(" + Text("touch pwned") + "ios\nsystem\n."),
            "unsupported "s + system);
  EXPECT_EQ(ErrorOf(kHead + "(" + Global("os", "system") + Text("touch pwned") + "o."),
            "unsupported "s + system);
  EXPECT_EQ(ErrorOf(kHead + Text("os") + Text("system") + "\x93" + command + "R."),
            "unsupported "s + system);
  EXPECT_EQ(ErrorOf(kHead + Global("os", "system") + command + "\x81."), "unsupported "s + system);
  // Naming is enough to be refused, even in a place that is ignored.
  EXPECT_EQ(ErrorOf(kHead + Global("os", "system") + "0}."), "unsupported "s + system);
  for (const char* name : {"eval", "exec", "getattr", "__import__"}) {
    EXPECT_THAT(ErrorOf(InDict(Global("builtins", name) + ")R")),
                HasSubstr(fmt::format("unsupported calls builtins.{};", name)));
  }
  // Names that only look like the known ones.
  for (const auto& [module, name] : {std::pair("torch", "OrderedDict"),
                                     {"torch", "load"},
                                     {"collections", "OrderedDict.fromkeys"},
                                     {"os", "FloatStorage"},
                                     {"torch._utils", "_rebuild_tensor_v3"},
                                     {"", "collections.OrderedDict"},
                                     {"collections.OrderedDict", ""},
                                     {"torch.", "FloatStorage"}}) {
    EXPECT_EQ(ErrorOf(InDict(Global(module, name))),
              fmt::format("unsupported calls {}.{}; refusing to execute code", module, name));
  }
}

TEST(Pickle, RefusesToCallOrBuildWhatIsNoConstructor) {
  const std::string dict = Global("collections", "OrderedDict");
  EXPECT_THAT(ErrorOf(InDict(Global("torch", "FloatStorage") + ")R")), HasSubstr("no function"));
  EXPECT_THAT(ErrorOf(InDict("N)R")), HasSubstr("no function"));
  EXPECT_THAT(ErrorOf(InDict(dict + "NR")), HasSubstr("no function"));
  EXPECT_THAT(ErrorOf(InDict(dict + "(NtR")), HasSubstr("from arguments"));
  for (const char* op :
       {"o", "\x81", "\x92", "\x82x", "\x83xx", "\x84xxxx", "Pid\n", "I1\n", "\xff"}) {
    EXPECT_THAT(ErrorOf(InDict("("s + dict + ")" + op)), HasSubstr("unsupported pickle opcode"))
        << op;
  }
  EXPECT_THAT(ErrorOf(InDict("(icollections\nOrderedDict\n")),
              HasSubstr("unsupported pickle opcode 0x69"));
  const std::string build = "sets the state of an object; refusing to execute code";
  EXPECT_THAT(ErrorOf(InDict(Tensor(1, 0, {}, {}) + "}b")), HasSubstr(build));
  EXPECT_THAT(ErrorOf(InDict(dict + "}b")), HasSubstr(build));
  EXPECT_THAT(ErrorOf(InDict(dict + ")Rb")), HasSubstr(build));
  EXPECT_THAT(ErrorOf(InDict("}Nb")), HasSubstr(build));
  EXPECT_EQ(ErrorOf(InDict(dict + ")R}b")), "accepted");
}

TEST(Pickle, UnprintableNamesDoNotReachTheTerminal) {
  const std::string message = ErrorOf(InDict(Global("\x1b[2J", std::string(5000, 'a'))));
  EXPECT_THAT(message, HasSubstr("calls ?[2J.aaa"));
  EXPECT_LT(message.size(), 200u);
}

TEST(Pickle, RefusesEveryTruncation) {
  const std::string whole = InDict(Tensor(6, 0, {2, 3}, {3, 1}));
  ASSERT_EQ(ErrorOf(whole), "accepted");
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_THAT(ErrorOf(whole.substr(0, n)), HasSubstr("corrupt malformed pickle")) << n;
  }
}

TEST(Pickle, RefusesStackErrors) {
  for (const char* code : {"0",      "1",    "2",    "t",         "u",    "s",      "a",    "e",
                           "l",      "R",    "b",    "Q",         "\x85", "\x86",   "\x87", "\x93",
                           "q\1",    "\x94", "h\1",  "j\1\1\1\1", "N(0",  "N(\x85", "N(2",  "N(q\1",
                           "}(NsNu", "}(Nu", "NNNs", "N(NNu",     ")Na",  "",       "("}) {
    EXPECT_THAT(ErrorOf(kHead + code + "."), HasSubstr("corrupt malformed pickle")) << code;
  }
  EXPECT_THAT(ErrorOf("}."), HasSubstr("protocol"));
  EXPECT_EQ(ErrorOf("\x80\x06}."), "unsupported pickle protocol 6");
  EXPECT_EQ(ErrorOf("\x80\x01}."), "unsupported pickle protocol 1");
  EXPECT_THAT(ErrorOf(kHead + "N."), HasSubstr("does not hold a dictionary"));
  EXPECT_THAT(ErrorOf(kHead + Tensor(1, 0, {}, {}) + "."), HasSubstr("does not hold a dictionary"));
}

TEST(Pickle, RefusesLyingLengths) {
  for (const std::string& code :
       {std::string("X\xff\xff\xff\xff"), std::string("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"),
        std::string("\x8c\xff"), std::string("B\xff\xff\xff\x7f"),
        std::string("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"), std::string("\x8b\xff\xff\xff\xff"),
        std::string("\x8a\xff"), std::string("\x95\xff\xff\xff\xff\xff\xff\xff\xff}"),
        std::string("cos"), std::string("G1234")}) {
    EXPECT_THAT(ErrorOf(kHead + code), HasSubstr("corrupt malformed pickle: it ends early"));
  }
}

TEST(Pickle, Integers) {
  const auto shape = [](const std::string& number) {
    const auto r =
        Parse(InDict(kRebuild + "(" + StorageOf(1) + "K\0"s + "(" + number + "t(K\0t\x89)tR"s));
    return r.ok() ? (*r)[0].shape : std::vector<int64_t>{-1};
  };
  EXPECT_THAT(shape("K\xff"), ElementsAre(255));
  EXPECT_THAT(shape("M\xff\xff"), ElementsAre(65535));
  EXPECT_THAT(shape("J\xff\xff\xff\x7f"), ElementsAre(0x7fffffff));
  EXPECT_THAT(shape("J\xff\xff\xff\xff"), ElementsAre(-1)) << "refused: negative";
  EXPECT_THAT(shape("\x8a\1\x7f"), ElementsAre(127));
  EXPECT_THAT(shape("\x8a\1\xff"), ElementsAre(-1)) << "refused: negative";
  EXPECT_THAT(shape("\x8a\2\xff\0"s), ElementsAre(255));
  EXPECT_THAT(shape("\x8a\0"s), ElementsAre(0));
  EXPECT_THAT(shape("\x8b\1\0\0\0\5"s), ElementsAre(5));
  EXPECT_THAT(shape("\x8a\x09\1\0\0\0\0\0\0\0\0"s), ElementsAre(-1)) << "refused: beyond int64";
}

// A memo lets a few bytes reach one dictionary along 2^n paths.
TEST(Pickle, RefusesMemoBombs) {
  std::string code = kHead + "}q" + '\0' + Text("w") + Tensor(1, 0, {}, {}) + "s";
  for (char level = 1; level < 8; ++level) {
    const std::string inner = fmt::format("h{}", static_cast<char>(level - 1));
    code += fmt::format("}}q{}(", level);
    for (int i = 0; i < 200; ++i)
      code += Int(i) + inner;
    code += "u";
  }
  EXPECT_EQ(ErrorOf(code + "."), "too large the pickle holds too many entries");
}

TEST(Pickle, RefusesDeepAndCyclicDictionaries) {
  std::string deep = Tensor(1, 0, {}, {});
  const auto wrap = [](const std::string& v) { return "}"s + Text("a") + v + "s"; };
  for (int i = 0; i < 8; ++i)
    deep = wrap(deep);
  EXPECT_EQ(ErrorOf(kHead + deep + "."), "accepted");
  EXPECT_THAT(ErrorOf(kHead + wrap(deep) + "."), HasSubstr("too large"));
  EXPECT_THAT(ErrorOf(kHead + "}q\1" + Text("a") + "h\1s."), HasSubstr("too large"));
  // Nesting of values costs no recursion.
  std::string tuples = "N";
  for (int i = 0; i < 1000000; ++i)
    tuples += "\x85";
  EXPECT_EQ(ErrorOf(InDict(tuples)), "accepted");
  EXPECT_THAT(ErrorOf(kHead + std::string(1000000, '(') + "."), HasSubstr("malformed"));
}

TEST(Pickle, RefusesTooMuch) {
  EXPECT_THAT(ErrorOf(std::string(5 << 20, 'N')), HasSubstr("too large a pickle of"));
  const std::string name(2000, 'a');
  const std::string key = std::string("X\xd0\x07\0\0", 5) + name;
  EXPECT_THAT(ErrorOf(kHead + "}" + key + Tensor(1, 0, {}, {}) + "s."),
              HasSubstr("name is too long"));
}

TEST(Pickle, RefusesBadNames) {
  const std::string tensor = Tensor(1, 0, {}, {});
  EXPECT_THAT(ErrorOf(kHead + "}" + Text("\xff") + tensor + "s."), HasSubstr("not UTF-8"));
  EXPECT_THAT(ErrorOf(kHead + "}" + Text("a") + tensor + "s" + Text("a") + tensor + "s."),
              HasSubstr("two tensors are named a"));
  EXPECT_THAT(ErrorOf(kHead + "}N" + tensor + "s."), HasSubstr("neither a string nor an integer"));
}

// Random programs over the opcodes: the sanitizers see what the values do not.
TEST(Pickle, RandomProgramsEnd) {
  const std::vector<std::string> words = {"N",
                                          "K\1",
                                          Text("storage"),
                                          Text("0"),
                                          "(",
                                          "t",
                                          ")",
                                          "}",
                                          "]",
                                          "s",
                                          "u",
                                          "a",
                                          "e",
                                          "0",
                                          "1",
                                          "2",
                                          "q\1",
                                          "h\1",
                                          "\x94",
                                          "\x85",
                                          "\x86",
                                          "\x87",
                                          "R",
                                          "b",
                                          "Q",
                                          "\x93",
                                          kRebuild,
                                          Global("torch", "FloatStorage"),
                                          Global("collections", "OrderedDict"),
                                          StorageOf(4),
                                          Tensor(4, 0, {2}, {1}),
                                          "."};
  Rng rng(11);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string code = kHead;
    for (uint64_t n = rng.Below(30); n-- > 0;)
      code += words[rng.Below(words.size())];
    accepted += Parse(code + ".").ok() ? 1 : 0;
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace octet
