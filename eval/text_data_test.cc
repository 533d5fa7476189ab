// Contracts of eval/text_data.h:
// 1. Plain text: bytes kept; documents between <|endoftext|>. JSONL: "text", "prefix" with
//    "gold_completion", first string, plain string. Line numbers in errors; empty text refused.
//    Rows and pages of WikiText: of lines, and of a .jsonl, where blank rows stay.
// 2. Samples: first pieces of all documents, then second pieces; bounds on number and length.
// 3. Held-out text is the last tenth, at least one document, and disjoint from what is kept.
// 4. Generated text: deterministic for a seed, different for another, the same for any number of
//    threads, samples of the model's own distribution, starting with end of text.
// 5. HashTokens is SHA-256 of the documented bytes and tells documents apart.
#include "eval/text_data.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/sha256.h"
#include "eval/perplexity.h"
#include "eval/test_model.h"

namespace octet {
namespace {

class TextDataTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "octet-text-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& contents) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << contents;
    return path;
  }
  Status ReadError(const std::string& name, const std::string& contents) {
    return ReadTextFile(Write(name, contents)).status();
  }

  std::filesystem::path folder_;
};

using Documents = std::vector<std::string>;

TEST_F(TextDataTest, RowsAndPagesOfWikiText) {
  const std::string raw = " \n = A = \n x\n<|endoftext|>\n = B = \n y\n";
  EXPECT_EQ(*ReadJoinedRows(Write("a.raw", raw)),
            "\n\n = A = \n\n\n x\n\n\n<|endoftext|>\n\n\n = B = \n\n\n y\n");
  EXPECT_EQ(*ReadPages(Write("a.raw", raw)), (Documents{" = A = \n x\n", " = B = \n y\n"}));
  const std::string lines = "{\"text\": \"\"}\n\n\"a\\n\"\n{\"page\": \" \"}\n\"b\"\n";
  EXPECT_EQ(*ReadJoinedRows(Write("a.jsonl", lines)), "\n\na\n\n\n \n\nb");
  EXPECT_EQ(*ReadPages(Write("a.jsonl", lines)), (Documents{"a\n", "b"}));
  for (const char* name : {"blank.raw", "blank.jsonl"}) {
    const std::string path = Write(name, "\n \n");
    EXPECT_EQ(ReadJoinedRows(path).status().message(), path + ": there is no text in the file");
    EXPECT_EQ(ReadPages(path).status().message(), path + ": there is no text in the file");
  }
  EXPECT_EQ(ReadJoinedRows(Write("b.jsonl", "\"a\"\n5")).status().code(), Code::kCorrupt);
  EXPECT_EQ(ReadJoinedRows(Write("c.raw", "a\xff")).status().code(), Code::kCorrupt);
}

TEST_F(TextDataTest, PlainTextIsKeptAndSplitAtEndOfText) {
  const std::string bytes = "\none\r\n<|endoftext|>\ntwo\n\n<|endoftext|>\n \n<|endoftext|>three";
  const auto file = ReadTextFile(Write("a.txt", bytes));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->text, bytes);
  EXPECT_EQ(file->documents, (Documents{"one\r\n", "two\n\n", "three"}));
}

TEST_F(TextDataTest, JsonLinesInAllSpellings) {
  const auto file = ReadTextFile(Write("a.jsonl",
                                       "{\"id\": \"x\", \"text\": \"one\"}\n"
                                       "\n"
                                       "{\"prefix\": \"t\", \"gold_completion\": \"wo\"}\r\n"
                                       "{\"n\": 3, \"body\": \"three\", \"more\": \"no\"}\n"
                                       "{\"text\": \" \"}\n"
                                       "\"four\""));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->documents, (Documents{"one", "two", "three", "four"}));
  EXPECT_EQ(file->text, "one\n\ntwo\n\nthree\n\nfour");
}

TEST_F(TextDataTest, RefusesFilesWithoutText) {
  for (const char* contents : {"", " \n\t\r\n", "<|endoftext|>\n<|endoftext|>"}) {
    const Status s = ReadError("empty.txt", contents);
    EXPECT_EQ(s.code(), Code::kInvalidArgument) << contents;
    EXPECT_NE(s.message().find("empty.txt: there is no text"), std::string::npos) << s.message();
  }
  EXPECT_EQ(ReadError("empty.jsonl", "\n{\"text\": \"\"}\n").code(), Code::kInvalidArgument);
}

TEST_F(TextDataTest, NamesTheLineOfBadJson) {
  for (const char* line : {"{\"text\": 3}", "[1]", "{", "17", "{\"prefix\": 1}"}) {
    const Status s = ReadError("bad.jsonl", std::string("\"fine\"\n") + line + "\n");
    EXPECT_EQ(s.code(), Code::kCorrupt) << line;
    EXPECT_NE(s.message().find("bad.jsonl: line 2"), std::string::npos) << s.message();
    EXPECT_EQ(s.message().find("line 1"), std::string::npos) << s.message();
  }
}

TEST_F(TextDataTest, NamesTheByteThatIsNotUtf8) {
  for (const char* name : {"a.txt", "a.jsonl"}) {
    const Status s = ReadError(name, "\"\u00e9\xe9\"\n");
    EXPECT_EQ(s.code(), Code::kCorrupt);
    EXPECT_TRUE(s.message().ends_with(std::string(name) + ": byte 3 is not UTF-8 text"))
        << s.message();
  }
}

TEST_F(TextDataTest, NamesAFileThatCannotBeRead) {
  const Status missing = ReadTextFile((folder_ / "missing.txt").string()).status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_NE(missing.message().find("missing.txt"), std::string::npos);
  const Status folder = ReadTextFile(folder_.string()).status();
  EXPECT_EQ(folder.code(), Code::kInvalidArgument) << folder.message();
  const std::string pipe = (folder_ / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  alarm(10);  // ends the test when opening the pipe waits
  EXPECT_EQ(ReadTextFile(pipe).status().message(), pipe + ": not a regular file");
  alarm(0);
}

TEST_F(TextDataTest, SamplesTakeEveryDocumentBeforeAnyTwice) {
  const auto model = LoadBooks();
  ASSERT_NE(model, nullptr);
  const auto tokenizer = model->tokenizer();
  ASSERT_TRUE(tokenizer.ok());
  TextFile file{"t", "", {"one two three four five six", "a", "seven eight nine ten"}};
  const TokenDocument first = tokenizer->Encode(file.documents[0]);
  const TokenDocument third = tokenizer->Encode(file.documents[2]);
  ASSERT_GE(first.size(), 6u);
  ASSERT_GE(third.size(), 4u);
  const auto piece = [](const TokenDocument& d, size_t begin, size_t n) {
    const auto part = std::span(d).subspan(begin, std::min(n, d.size() - begin));
    return TokenDocument(part.begin(), part.end());
  };
  const auto samples = CutSamples(file, *tokenizer, 4, 2);
  ASSERT_TRUE(samples.ok());
  EXPECT_EQ(*samples, (std::vector<TokenDocument>{piece(first, 0, 2), piece(third, 0, 2),
                                                  piece(first, 2, 2), piece(third, 2, 2)}));
  EXPECT_EQ(CutSamples(file, *tokenizer, 1, 100)->front(), first);
  for (const size_t length :
       {size_t{2}, size_t{3}, first.size() - 1}) {  // the latter leaves one token over
    std::vector<TokenDocument> want;
    for (size_t begin = 0; begin < first.size(); begin += length) {
      for (const TokenDocument* d : {&first, &third}) {
        if (begin + 2 <= d->size()) want.push_back(piece(*d, begin, length));
      }
    }
    EXPECT_EQ(*CutSamples(file, *tokenizer, 1000, static_cast<int64_t>(length)), want) << length;
  }
  file.documents = {"a", "b"};
  EXPECT_EQ(CutSamples(file, *tokenizer, 4, 2).status().code(), Code::kInvalidArgument);
  EXPECT_FALSE(CutSamples(file, *tokenizer, 0, 2).ok());
  EXPECT_FALSE(CutSamples(file, *tokenizer, 4, 1).ok());
}

TEST(HoldOut, TakesTheLastTenth) {
  std::vector<TokenDocument> documents;
  for (TokenId i = 0; i < 25; ++i) {
    documents.push_back({i, i, i});
  }
  const auto held = HoldOut(&documents);
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(*held, (TokenDocument{23, 23, 23, 24, 24, 24}));
  ASSERT_EQ(documents.size(), 23u);
  EXPECT_EQ(documents.back().front(), 22);
}

TEST(HoldOut, TakesOneOfFewAndPartOfASingleDocument) {
  std::vector<TokenDocument> few = {{1, 2, 3}, {4, 5, 6}};
  EXPECT_EQ(*HoldOut(&few), (TokenDocument{4, 5, 6}));
  EXPECT_EQ(few.size(), 1u);
  TokenDocument counting(50);
  for (TokenId i = 0; i < 50; ++i) {
    counting[static_cast<size_t>(i)] = i;
  }
  std::vector<TokenDocument> single = {counting};
  EXPECT_EQ(*HoldOut(&single), (TokenDocument{45, 46, 47, 48, 49}));
  EXPECT_EQ(single.front().size(), 45u);
  std::vector<TokenDocument> tiny = {{1, 2, 3}};
  EXPECT_EQ(HoldOut(&tiny).status().code(), Code::kInvalidArgument);
  std::vector<TokenDocument> none;
  EXPECT_EQ(HoldOut(&none).status().code(), Code::kInvalidArgument);
}

TEST(GenerateText, IsDeterministicForASeedAndAnyNumberOfThreads) {
  const auto model = LoadBooks();
  ASSERT_NE(model, nullptr);
  const auto one = GenerateText(model, {5, 20, 7, 1}, {});
  ASSERT_TRUE(one.ok());
  for (const int threads : {2, 8}) {
    EXPECT_EQ(*one, *GenerateText(model, {5, 20, 7, threads}, {})) << threads;
  }
  EXPECT_EQ((*one)[2], (*GenerateText(model, {3, 20, 7, 1}, {}))[2]) << "by index, not by count";
  EXPECT_NE(*one, *GenerateText(model, {5, 20, 8, 1}, {}));
  for (size_t i = 0; i < one->size(); ++i) {
    EXPECT_EQ((*one)[i].size(), 20u);
    EXPECT_EQ((*one)[i].front(), model->eos().front());
    if (i > 0) {
      EXPECT_NE((*one)[i], (*one)[0]);
    }
  }
  EXPECT_FALSE(GenerateText(model, {0, 20, 7, 1}, {}).ok());
  EXPECT_FALSE(GenerateText(model, {1, 1, 7, 1}, {}).ok());
}

TEST(GenerateText, SamplesAtTemperatureOne) {
  const auto model = LoadBooks();
  ASSERT_NE(model, nullptr);
  const auto text = GenerateText(model, {16, 128, 3, 2}, {});
  ASSERT_TRUE(text.ok());
  TokenDocument all;
  for (const TokenDocument& d : *text) {
    all.insert(all.end(), d.begin(), d.end());
  }
  const auto report = Perplexity(model, all, "t", {128, 128, 0, 2}, {});
  ASSERT_TRUE(report.ok());
  // The mean surprise of own samples is the model's entropy. Its books have 3.7 nats per token;
  // greedy text would be far below, uniform text (ln 4096 = 8.3 at least) far above.
  EXPECT_GT(report->nll_per_token, 2.8);
  EXPECT_LT(report->nll_per_token, 4.6);
}

TEST(HashTokens, IsSha256OfTheDocumentedBytes) {
  const std::vector<TokenDocument> documents = {{1, 258}, {}, {-1}};
  const unsigned char bytes[] = {2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0,   0,   0,   0,
                                 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255};
  EXPECT_EQ(HashTokens(documents), Sha256Hex(std::as_bytes(std::span(bytes))));
  EXPECT_NE(HashTokens(std::vector<TokenDocument>{{1, 2}}),
            HashTokens(std::vector<TokenDocument>{{1}, {2}}));
}

}  // namespace
}  // namespace octet
