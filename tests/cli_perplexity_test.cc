// Contracts of `octet evaluate perplexity --protocol` and `octet evaluate context`:
// 1. Each preset names itself and what it follows, in text and in JSON, and gives the number of the
//    program that it follows (tests/golden/perplexity).
// 2. An option that a preset sets is refused beside it, and so is a preset that is unknown.
// 3. context scores a model alone or beside a reference, by position; its plot is a page that needs
//    nothing else.
// 4. Threads change no number. Text that is too short, other tokenizers and files that cannot be
//    written are refused with exit code 2, and nothing is left.
#include <gmock/gmock.h>

#include <fmt/format.h>

#include "tests/cli_output.h"
#include "tests/cli_program.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kRaw = "tests/golden/perplexity/wikitext.raw";

class CliPerplexity : public CliTest {
 protected:
  static std::vector<std::string> Preset(const char* name) {
    return {"evaluate", "perplexity", kBooks, "--text", kRaw, "--protocol", name};
  }
  std::string Refused(std::vector<std::string> args) const {
    const Outcome o = Octet(std::move(args));
    EXPECT_EQ(o.exit_code, 2) << o.out;
    EXPECT_EQ(o.out, "");
    EXPECT_EQ(o.err.find('\n'), o.err.size() - 1) << o.err;
    return o.err;
  }
};

TEST_F(CliPerplexity, PresetsGiveTheNumbersOfTheirSources) {
  const Result<Json> golden = Json::ParseFile("tests/golden/perplexity/expected.json", 1 << 20);
  ASSERT_TRUE(golden.ok());
  const Json& want = *golden->Find("models")->Find("books-mamba2-5m");
  const Json gptq = OctetJson(Preset("wikitext2-gptq")), strided = OctetJson(Preset("strided")),
             document = OctetJson(Preset("document"));
  EXPECT_NEAR(Number(gptq, "perplexity"), Number(*want.Find("gptq"), "perplexity"), 0.01);
  EXPECT_EQ(Number(gptq, "tokens") + 1 + Number(gptq, "dropped_tokens"),
            Number(*want.Find("gptq"), "tokens"));
  EXPECT_NEAR(Number(strided, "perplexity"), Number(*want.Find("strided"), "perplexity"), 0.01);
  EXPECT_EQ(Number(strided, "stride"), 512);
  const Json& rolling = want.Find("rolling")->AsArray()[0];
  EXPECT_NEAR(Number(document, "word_perplexity"), Number(rolling, "word_perplexity"), 0.005);
  EXPECT_NEAR(Number(document, "byte_perplexity"), Number(rolling, "byte_perplexity"), 1e-4);
  EXPECT_NEAR(Number(document, "bits_per_byte"), Number(rolling, "bits_per_byte"), 1e-4);
  EXPECT_EQ(Number(document, "documents"), 3);
  for (const auto& [name, reference, json] :
       {std::tuple("wikitext2-gptq", "GPTQ", &gptq),
        std::tuple("strided", "Hugging Face", &strided),
        std::tuple("document", "lm-evaluation-harness", &document)}) {
    EXPECT_EQ(Text(*json, "schema"), "octet.evaluate.perplexity/1");
    EXPECT_EQ(Text(*json, "protocol"), name);
    EXPECT_EQ(Text(*json, "model"), kBooks);
    EXPECT_EQ(Text(*json, "text"), kRaw);
    EXPECT_THAT(Text(*json, "reference"), HasSubstr(reference));
    std::vector<std::string> args = Preset(name);
    const Outcome text = Octet(args);
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_THAT(text.out, AllOf(HasSubstr(fmt::format("protocol       {}\n", name)),
                                HasSubstr(Text(*json, "reference"))));
    ExpectNarrow(text.out);
    args.insert(args.end(), {"--threads", "1"});
    EXPECT_EQ(OctetJson(args), *json);
  }
  EXPECT_THAT(Octet({"evaluate", "perplexity", "--help"}).out,
              AllOf(HasSubstr("wikitext2-gptq  GPTQ"), HasSubstr("strided         Hugging Face"),
                    HasSubstr("document        task wikitext of lm-evaluation-harness 0.4.13")));
}

TEST_F(CliPerplexity, WithoutPresetWindowsAreTheOptions) {
  const Json json = OctetJson(
      {"evaluate", "perplexity", kBooks, "--text", kRaw, "--window", "256", "--stride", "128"});
  EXPECT_EQ(Text(json, "protocol"), "windows");
  EXPECT_EQ(json.Find("reference"), nullptr);
  EXPECT_EQ(Number(json, "window"), 256);
}

TEST_F(CliPerplexity, PresetsRefuseWhatTheySet) {
  const auto with = [&](const char* name, const std::vector<std::string>& more) {
    std::vector<std::string> args = Preset(name);
    args.insert(args.end(), more.begin(), more.end());
    return args;
  };
  EXPECT_THAT(Refused(with("strided", {"--window", "2048"})),
              AllOf(HasSubstr("--protocol strided fixes the windows"), HasSubstr("--window")));
  EXPECT_THAT(Refused(with("wikitext2-gptq", {"--stride", "512"})), HasSubstr("without --stride"));
  EXPECT_THAT(Refused(with("document", {"--max-tokens", "9"})), HasSubstr("without --max-tokens"));
  EXPECT_EQ(Octet(with("strided", {"--max-tokens", "90"})).exit_code, 0);
  EXPECT_THAT(Refused(Preset("gptq")), AllOf(HasSubstr("--protocol"), HasSubstr("strided")));
  EXPECT_THAT(Refused(with("wikitext2-gptq", {"--max-tokens", "90"})),
              AllOf(HasSubstr(kRaw), HasSubstr("shorter"),
                    HasSubstr("the protocol's window is 2048"), Not(HasSubstr("--window"))));
  for (const char* name : {"wikitext2-gptq", "strided", "document"}) {
    std::vector<std::string> args = Preset(name);
    WriteAll(folder_ / "blank.txt", " \n\n");
    args[4] = PathOf("blank.txt");
    EXPECT_THAT(Refused(args), AllOf(HasSubstr("blank.txt"), HasSubstr("no text")));
    WriteAll(folder_ / "latin1.txt", "caf\xe9");
    args[4] = PathOf("latin1.txt");
    EXPECT_THAT(Refused(args), HasSubstr("latin1.txt: byte 3"));
    args[4] = PathOf("missing.txt");
    EXPECT_THAT(Refused(args), HasSubstr("missing.txt"));
  }
}

TEST_F(CliPerplexity, ContextIsMeasuredByPosition) {
  const std::string q = PathOf("q"), html = PathOf("plot.html");
  ASSERT_EQ(Octet(QuickQuantize(kBooks, "absmax", q)).exit_code, 0);
  std::vector<std::string> args = {"evaluate", "context",     q,        "--text", kRaw,
                                   "--tokens", "300",         "--html", html,     "--segments",
                                   "6",        "--reference", kBooks};
  const Json json = OctetJson(args);
  EXPECT_EQ(Text(json, "schema"), "octet.evaluate.context/1");
  EXPECT_EQ(Number(json, "segments"), 6);
  EXPECT_EQ(Number(json, "tokens"), 300);
  EXPECT_EQ(Text(json, "model"), q);
  EXPECT_EQ(Text(json, "reference"), kBooks);
  EXPECT_EQ(Text(json, "text"), kRaw);
  EXPECT_EQ(Text(json, "protocol"), "state-carried");
  const Json::Array& buckets = json.Find("buckets")->AsArray();
  ASSERT_EQ(buckets.size(), 4u);
  double last = 0;
  for (const Json& b : buckets) {
    EXPECT_EQ(Number(b, "first"), last);
    last = Number(b, "last");
    EXPECT_NEAR(Number(b, "ratio"), Number(b, "perplexity") / Number(b, "reference_perplexity"),
                1e-9);
    EXPECT_GT(Number(b, "kl_mean"), 0);
    const Json::Array& interval = b.Find("ratio_ci95")->AsArray();
    EXPECT_LE(*interval[0].AsNumber(), Number(b, "ratio"));
    EXPECT_GE(*interval[1].AsNumber(), Number(b, "ratio"));
  }
  EXPECT_EQ(last, 300);
  const std::string page = ReadAll(html);
  EXPECT_THAT(page,
              AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("aria-label=\"perplexity by"),
                    HasSubstr("class=\"curve model\""), HasSubstr("class=\"curve reference\""),
                    HasSubstr("prefers-color-scheme: dark"), HasSubstr("6 segments of 300"),
                    HasSubstr("<td>256 to 299</td>"), HasSubstr("bars and brackets")));
  for (const char* foreign : {"href", "<script", "url(", "nan", "inf"}) {
    EXPECT_EQ(page.find(foreign), std::string::npos) << foreign;
  }
  const Outcome text = Octet(args);
  EXPECT_THAT(text.out, AllOf(HasSubstr("256 to 299"), HasSubstr("ratio"), HasSubstr("95 %")));
  ExpectNarrow(text.out);
  args.insert(args.end(), {"--threads", "1"});
  EXPECT_EQ(OctetJson(args), json);
  const Json alone = OctetJson({"evaluate", "context", q, "--text", kRaw, "--tokens", "500",
                                "--segments", "3", "--bucket", "200", "--html", html});
  ASSERT_EQ(alone.Find("buckets")->AsArray().size(), 3u);
  EXPECT_EQ(alone.Find("buckets")->AsArray()[0].Find("ratio"), nullptr);
  EXPECT_EQ(ReadAll(html).find("curve reference"), std::string::npos);
  EXPECT_NE(ReadAll(html).find("no intervals"), std::string::npos);
  EXPECT_EQ(ReadAll(html).find("<path class=\"model\""), std::string::npos) << "a bar";
  EXPECT_EQ(alone.Find("buckets")->AsArray()[0].Find("perplexity_ci95"), nullptr);
  args[10] = "5";
  EXPECT_THAT(Octet(args).out,
              AllOf(HasSubstr("No intervals: they need at least 6"), Not(HasSubstr("["))));
  EXPECT_EQ(Entries().size(), 2u);
}

TEST_F(CliPerplexity, ContextRefusesInOneSentence) {
  const auto context = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluate", "context", kBooks, "--text", kRaw});
    return Refused(more);
  };
  EXPECT_THAT(context({}), AllOf(HasSubstr(kRaw), HasSubstr("no document has 16385 tokens"),
                                 HasSubstr("--tokens")));
  EXPECT_THAT(context({"--tokens", "0"}), HasSubstr("--tokens"));
  EXPECT_THAT(context({"--tokens", "9", "--segments", "0"}), HasSubstr("--segments"));
  EXPECT_THAT(context({"--tokens", "9", "--bucket", "0"}), HasSubstr("--bucket"));
  EXPECT_THAT(context({"--tokens", "9", "--html", PathOf("no/such.html")}), HasSubstr("no/such"));
  EXPECT_THAT(context({"--tokens", "9", "--reference", PathOf("none")}), HasSubstr("none"));
  EXPECT_THAT(Refused({"evaluate", "context", kBooks, "--tokens", "9", "--text", WriteText(4),
                       "--html", PathOf("./text.txt")}),
              HasSubstr("text.txt: is read"));
  EXPECT_THAT(Refused({"evaluate", "context", kBooks, "--text", PathOf("none")}),
              HasSubstr("none"));
  std::filesystem::copy(kBooks, PathOf("m"));
  const std::string file = PathOf("m") + "/tokenizer.json";
  Result<Json> tokenizer = Json::ParseFile(file, 1 << 24);
  ASSERT_TRUE(tokenizer.ok());
  Json rules = *tokenizer->Find("model");
  rules.Set("merges", Json::MakeArray());
  tokenizer->Set("model", rules);
  std::filesystem::remove(file);
  WriteAll(file, tokenizer->Dump());
  EXPECT_THAT(context({"--tokens", "9", "--reference", PathOf("m")}), HasSubstr("tokenizers"));
  EXPECT_EQ(Entries().size(), 2u) << "the text and the copy of the model alone";
}

}  // namespace
}  // namespace octet
