#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/term.h"
#include "quant/s4d/recipes.h"

namespace octet::cli {

Status Run(const S4dRecipesCommand& c) {
  if (c.schema) {
    if (!c.name.empty()) return InvalidArgument("--schema is of all recipes: leave NAME out");
    Print(S4dPlanSchema().Dump(2) + "\n");
    return {};
  }
  if (!c.name.empty()) {
    OCTET_ASSIGN(const S4dPlan plan, LoadS4dRecipe(c.name));
    Print(ToJson(plan).Dump(2) + "\n");
    return {};
  }
  Json recipes = Json::MakeArray();
  Table table({"recipe", "what it is"}, Table::Align::kLeft);
  for (const S4dRecipe& r : S4dRecipes()) {
    Json j = Json::MakeObject();
    j.Set("name", r.name);
    j.Set("help", r.help);
    j.Set("plan", ToJson(r.plan()));
    recipes.Append(std::move(j));
    table.Add({r.name, r.help});
  }
  Json all = Json::MakeObject();
  all.Set("recipes", std::move(recipes));
  if (c.json) {
    PrintJson("s4d.recipes", std::move(all));
    return {};
  }
  Print(table.Text() +
        "\nWith a name of these, or a file, the command prints its plan. A file FILE.json with\n"
        "{\"recipe\": NAME, ...} changes a plan (--schema).\n");
  return {};
}

}  // namespace octet::cli
