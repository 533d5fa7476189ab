#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/term.h"
#include "quant/recipe.h"

namespace octet::cli {
namespace {

constexpr size_t kColumns = 80;

Json ToJson(const RecipeOption& o) {
  Json j = Json::MakeObject();
  j.Set("name", o.name);
  j.Set("default", o.fallback);
  if (!o.fallback.is_string()) {
    j.Set("low", o.low);
    j.Set("high", o.high);
  }
  if (!o.choices.empty()) {
    Json choices = Json::MakeArray();
    for (const char* c : o.choices) {
      choices.Append(c);
    }
    j.Set("choices", std::move(choices));
  }
  j.Set("help", o.help);
  return j;
}

Json ToJson(const Recipe& r) {
  Json j = Json::MakeObject();
  j.Set("name", r.name);
  j.Set("source", r.source);
  j.Set("summary", r.summary);
  const Result<RecipeRun> run = PlanRecipe(r, Json(), r.only.value_or(Family::kMamba2));
  j.Set("needs_calibration", run.ok() && NeedsCalibration(run->plan));
  Json options = Json::MakeArray();
  for (const RecipeOption& o : r.options()) {
    options.Append(ToJson(o));
  }
  j.Set("options", std::move(options));
  return j;
}

std::string Allowed(const RecipeOption& o) {
  if (!o.choices.empty()) return fmt::format(" ({})", fmt::join(o.choices, " | "));
  if (o.fallback.is_string()) return "";
  return fmt::format(" ({} .. {})", o.low, o.high);
}

// JSON Schema of a recipe file: a plan, with the recipe that it starts from.
Json RecipeFileSchema() {
  Json schema = PlanSchema();
  const auto member = [](const char* type, const char* help) {
    Json j = Json::MakeObject();
    j.Set("type", type);
    j.Set("description", help);
    return j;
  };
  Json properties = *schema.Find("properties");
  properties.Set("recipe", member("string", "named recipe to start from; absent: all in float"));
  properties.Set("options", member("object", "options of that recipe"));
  schema.Set("properties", std::move(properties));
  schema.Set("$schema", "https://json-schema.org/draft/2020-12/schema");
  schema.Set("title", "Octet recipe");
  return schema;
}

}  // namespace

Status Run(const RecipesCommand& c) {
  if (c.schema) {
    Print(RecipeFileSchema().Dump(2) + "\n");
    return {};
  }
  if (!c.recipe.empty()) {
    const Family first = c.family == "mamba" ? Family::kMamba : Family::kMamba2;
    Result<RecipeRun> run = PlanRecipeNamed(c.recipe, Json(), first);
    if (!run.ok() && run.status().code() == Code::kUnsupported && c.family.empty()) {
      run = PlanRecipeNamed(c.recipe, Json(), Family::kMamba);
    }
    OCTET_TRY(run.status());
    Print(ToJson(run->plan).Dump(2) + "\n");
    return {};
  }
  if (c.json) {
    Json recipes = Json::MakeArray();
    for (const Recipe& r : Recipes()) {
      recipes.Append(ToJson(r));
    }
    Json j = Json::MakeObject();
    j.Set("recipes", std::move(recipes));
    PrintJson("recipes", std::move(j));
    return {};
  }
  std::string text;
  for (const Recipe& r : Recipes()) {
    text +=
        fmt::format("{}\n  {}\n  source: {}\n", r.name, Wrap(r.summary, kColumns - 2, 2), r.source);
    for (const RecipeOption& o : r.options()) {
      const std::string value =
          o.fallback.is_string() ? o.fallback.AsString() : o.fallback.Dump(-1);
      const std::string key = fmt::format("  --option {}={}{}", o.name, value, Allowed(o));
      text += fmt::format("{}\n      {}\n", Wrap(key, kColumns, 6), Wrap(o.help, kColumns - 6, 6));
    }
    text += "\n";
  }
  Print(text +
        "The value after = is the default. A recipe can also be a JSON file; see\n--schema. "
        "octet quantize --recipe auto chooses widths by measurement.\n");
  return {};
}

}  // namespace octet::cli
