// Contracts: every recipe has a unique name, texts and a table of options whose defaults, choices
// and bounds parse, and whose other values are refused naming the option.
#include <algorithm>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/recipe.h"

namespace octet {
namespace {

using testing::HasSubstr;

TEST(Options, TablesAreValidAndDefaultsParse) {
  std::vector<std::string> names;
  for (const Recipe& r : Recipes()) {
    EXPECT_EQ(std::ranges::count(names, r.name), 0) << r.name;
    names.emplace_back(r.name);
    EXPECT_TRUE(FindRecipe(r.name).ok() && *FindRecipe(r.name) == &r);
    EXPECT_GT(std::strlen(r.source), 0u);
    EXPECT_GT(std::strlen(r.summary), 0u);
    const std::vector<RecipeOption> options = r.options();
    const Result<RecipeOptions> defaults = RecipeOptions::Parse(options, Json());
    ASSERT_TRUE(defaults.ok());
    EXPECT_TRUE(RecipeOptions::Parse(options, defaults->json()).ok()) << r.name;
    EXPECT_NE(r.plan(*defaults, r.only.value_or(Family::kMamba)), QuantPlan()) << r.name;
    for (const RecipeOption& o : options) {
      EXPECT_GT(std::strlen(o.help), 0u) << o.name;
      EXPECT_TRUE(o.fallback.is_string() || o.low < o.high) << o.name;
      const auto parse = [&](Json v) {
        Json given = Json::MakeObject();
        given.Set(o.name, std::move(v));
        return RecipeOptions::Parse(options, given).status();
      };
      for (const char* choice : o.choices) {
        EXPECT_TRUE(parse(choice).ok()) << o.name;
      }
      for (const Json& wrong : {Json(), Json(true), Json::MakeArray(), Json(1e300)}) {
        EXPECT_EQ(parse(wrong).code(), Code::kInvalidArgument) << o.name << wrong.Dump(-1);
        EXPECT_THAT(parse(wrong).message(), HasSubstr(o.name));
      }
      if (!o.fallback.is_int()) continue;
      EXPECT_TRUE(parse(static_cast<int64_t>(o.low)).ok()) << o.name;
      EXPECT_FALSE(parse(static_cast<int64_t>(o.low) - 1).ok()) << o.name;
      EXPECT_TRUE(parse(static_cast<int64_t>(o.high)).ok()) << o.name;
      EXPECT_FALSE(parse(static_cast<int64_t>(o.high) + 1).ok()) << o.name;
      EXPECT_FALSE(parse(o.low + 0.5).ok()) << o.name;
    }
  }
  EXPECT_FALSE(RecipeOptions::Parse({}, Json(3)).ok());
}

}  // namespace
}  // namespace octet
