// Contracts:
//  1. Every named plan passes Check; the published ones have the paper's forms, Octet's its own.
//  2. A file starts from the recipe it names, changes what it says, and is refused by name for
//     what it cannot say.
//  3. The file that is written for a plan gives the same plan again, in terms of its recipe where
//     it has a name.
#include "quant/s4d/recipes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/scratch_folder.h"

namespace octet {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Result<S4dPlan> FromFile(const std::string& text) {
  const ScratchFolder folder;
  return LoadS4dRecipe(folder.Write("plan.json", text));
}

TEST(S4dRecipes, AreSound) {
  for (const S4dRecipe& r : S4dRecipes()) {
    const S4dPlan plan = r.plan();
    EXPECT_TRUE(Check(plan).ok()) << r.name;
    EXPECT_EQ(*LoadS4dRecipe(r.name), plan);
    const bool published = std::string_view(r.name).starts_with("paper-");
    EXPECT_EQ(plan.x.published, published) << r.name;
    EXPECT_EQ(plan.piecewise_gelu, published) << r.name;
    EXPECT_EQ(plan.A.codec == PoleCodec::kCartesian, published) << r.name;
  }
  EXPECT_EQ(LoadS4dRecipe("paper-w4a6")->linears.bits, 4);
  EXPECT_EQ(LoadS4dRecipe("paper-w4a6")->activations.bits, 6);
  EXPECT_EQ(LoadS4dRecipe("w4a6-x16")->x.code.bits, 16);
}

TEST(S4dRecipes, FilesStartFromANamedOne) {
  Result<S4dPlan> plan = FromFile(R"({"recipe": "w4a6", "widths": {"logits": 8}})");
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  S4dPlan want = *LoadS4dRecipe("w4a6");
  want.widths["logits"] = 8;
  EXPECT_EQ(*plan, want);
  EXPECT_EQ(*FromFile("{}"), S4dPlan());
}

TEST(S4dRecipes, FilesGiveTheSamePlan) {
  S4dPlan plan = *LoadS4dRecipe("w4a6");
  plan.widths = {{"layers.0.x", 12}, {"layers.0.A.phase", 7}, {"logits", 3}};
  const Json named = S4dRecipeFile("w4a6", plan);
  EXPECT_EQ(named.AsObject().size(), 2u);
  EXPECT_EQ(named.Find("recipe")->AsString(), "w4a6");
  EXPECT_EQ(named.Find("widths")->AsObject().size(), 3u);
  EXPECT_EQ(*FromFile(named.Dump()), plan);
  EXPECT_EQ(*FromFile(S4dRecipeFile("w8a8", plan).Dump()), plan) << "other than in widths";
  EXPECT_EQ(*FromFile(S4dRecipeFile("mine.json", plan).Dump()), plan);
  EXPECT_EQ(S4dRecipeFile("mine.json", plan).Find("recipe"), nullptr);
}

TEST(S4dRecipes, RefusesWhatItDoesNotKnow) {
  const auto error = [](const char* text) {
    return std::string(FromFile(text).status().message());
  };
  EXPECT_THAT(std::string(LoadS4dRecipe("w3").status().message()),
              AllOf(HasSubstr("recipe w3 is unknown"), HasSubstr("paper-w4a6, w8a8")));
  EXPECT_THAT(error(R"({"recipe": "w3"})"), AllOf(HasSubstr("plan.json"), HasSubstr("w3")));
  EXPECT_THAT(error(R"({"recipe": 3})"), HasSubstr("recipe must be text"));
  EXPECT_THAT(error(R"({"weights": 3})"), HasSubstr("unknown member weights"));
  EXPECT_THAT(error("[]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(error("{"), HasSubstr("plan.json"));
}

}  // namespace
}  // namespace octet
