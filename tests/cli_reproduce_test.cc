// Contracts of `octet reproduce`:
//  1. It writes both reports and nothing else; --json prints what the JSON report holds. There is a
//     row for every method and part, for the model and its copy with outliers.
//  2. Rotation holds against the outliers that ruin absmax; numbers of the two reports agree.
//  3. Recipes, folders and texts that are not there are refused before anything is written.
#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli_program.h"

namespace octet {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

class CliReproduceTest : public CliTest {
 protected:
  // A data folder with `sentences` in every text.
  std::string WriteData(int sentences) const {
    const std::filesystem::path data = folder_ / "data";
    std::filesystem::create_directories(data / "books");
    std::filesystem::create_directories(data / "wikitext2");
    const std::string text = ReadAll(WriteText(sentences));
    for (const char* file :
         {"books/calibration.txt", "books/valid.txt", "wikitext2/wiki.test.raw"}) {
      WriteAll(data / file, text);
    }
    std::filesystem::remove(folder_ / "text.txt");
    return data.string();
  }

  std::vector<std::string> Tiny(const std::string& data) const {
    return {"reproduce", "--data",        data,        "--models", kBooks,
            "--recipes", "absmax,had-q1", "--samples", "2",        "--length",
            "32",        "--window",      "32",        "--bytes",  "800",
            "--output",  PathOf("r"),     "--threads", "2"};
  }
};

const Json* FindRow(const Json& model, const std::string& method, const std::string& part) {
  const auto& rows = model.Find("rows")->AsArray();
  const auto found = std::ranges::find_if(rows, [&](const Json& row) {
    return *row.Find("method") == Json(method) && *row.Find("part") == Json(part);
  });
  return found == rows.end() ? nullptr : &*found;
}

double Kl(const Json& model, const std::string& method, const std::string& part) {
  const Json* row = FindRow(model, method, part);
  EXPECT_NE(row, nullptr) << method << " " << part;
  if (row == nullptr) return -1;
  return *row->Find("quality")->AsArray()[0].Find("kl_mean")->AsArray()[0].AsNumber();
}

TEST_F(CliReproduceTest, WritesBothReports) {
  const Json json = OctetJson(Tiny(WriteData(20)));
  EXPECT_THAT(Entries(), UnorderedElementsAre("data", "r.md", "r.json"));
  const Result<Json> file = Json::ParseFile(PathOf("r.json"), 1 << 24);
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_EQ(*file->Find("models"), *json.Find("models"));
  const auto& models = file->Find("models")->AsArray();
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(*models[0].Find("model"), Json("books-mamba2-5m"));
  EXPECT_EQ(*models[1].Find("model"), Json("books-mamba2-5m, outliers"));
  for (const char* part : {"all", "ssm", "linears"}) {
    EXPECT_GT(Kl(models[0], "absmax", part), 0);
  }
  EXPECT_EQ(FindRow(models[1], "absmax", "ssm"), nullptr) << "copies are measured as a whole";
  EXPECT_GT(Kl(models[1], "absmax", "all"), 5 * Kl(models[0], "absmax", "all"));
  const std::string markdown = ReadAll(PathOf("r.md"));
  EXPECT_THAT(markdown, HasSubstr("octet reproduce --bytes 800 --samples 2"));
  EXPECT_THAT(markdown, HasSubstr(fmt::format("| {:.5f} (", Kl(models[0], "had-q1", "all"))));
  EXPECT_THAT(markdown, HasSubstr("Other models, from the papers"));
}

TEST_F(CliReproduceTest, ChecksOrdersWithPairedIntervals) {
  std::vector<std::string> args = Tiny(WriteData(20));
  std::ranges::replace(args, std::string("absmax,had-q1"), std::string("absmax,quamba"));
  std::ranges::replace(args, std::string(kBooks), std::string("models/books-mamba-5m"));
  const Json json = OctetJson(args);
  const auto& orders = json.Find("orders")->AsArray();
  ASSERT_FALSE(orders.empty());
  for (const Json& o : orders) {
    const auto& difference = o.Find("difference")->AsArray();
    const double value = *difference[0].AsNumber();
    EXPECT_NEAR(value, *o.Find("first_kl")->AsNumber() - *o.Find("second_kl")->AsNumber(), 1e-9);
    EXPECT_LE(*difference[1].AsNumber(), value);
    EXPECT_GE(*difference[2].AsNumber(), value);
  }
  ASSERT_LT(orders[0].Find("windows")->AsInt(), 8);
  EXPECT_THAT(ReadAll(PathOf("r.md")), HasSubstr("| too few windows |"));
  EXPECT_THAT(ReadAll(PathOf("r.md")), testing::Not(HasSubstr("| yes |")));
}

TEST_F(CliReproduceTest, RefusesWhatItCannotMeasure) {
  const std::string data = WriteData(20);
  const auto refuse = [&](const std::string& from, const std::string& to, const char* why) {
    std::vector<std::string> args = Tiny(data);
    std::ranges::replace(args, from, to);
    const Outcome o = Octet(args);
    EXPECT_NE(o.exit_code, 0);
    EXPECT_THAT(o.err, HasSubstr(why));
    EXPECT_EQ(std::ranges::count(o.err, '\n'), 1) << o.err;
    EXPECT_THAT(Entries(), UnorderedElementsAre("data"));
  };
  refuse("absmax,had-q1", "absmax,nonsense", "unknown recipe nonsense");
  refuse("absmax,had-q1", "quamba", "no method is for models of this kind");
  refuse(data, PathOf("nowhere"), "books/valid.txt");
  refuse(kBooks, PathOf("nowhere"), "there is no such model");
  refuse(PathOf("r"), PathOf("nowhere/r"), "nowhere/r.md");
  refuse("800", "40", "window");
}

}  // namespace
}  // namespace octet
