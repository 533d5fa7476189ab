#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "apps/cli/commands.h"
#include "apps/cli/s4d_images.h"
#include "apps/cli/s4d_model.h"
#include "apps/cli/shared.h"
#include "edge/lower.h"
#include "edge/stored_sizes.h"
#include "quant/s4d/auto_widths.h"
#include "quant/s4d/recipes.h"

namespace octet::cli {
namespace {

Status CheckCommand(const S4dAllocateCommand& c) {
  if (!(c.budget_kb > 0 || c.max_kl > 0)) {
    return InvalidArgument("octet s4d allocate needs --budget-kb or --max-kl");
  }
  OCTET_TRY(CheckDistinct(c.bits));
  if (c.output.ends_with(".json")) return {};
  return InvalidArgument(c.output + ": the name of a recipe file must end with .json");
}

// What `octet export c` stores: with one value in a frame, also a table of 256 bytes for pixels.
Result<S4dSizes> Stored(const FloatCheckpoint& model, const S4dPlan& plan,
                        const S4dRanges& ranges) {
  OCTET_ASSIGN(const IntegerS4d integers, LowerS4d(model.graph, model.weights, plan, ranges));
  S4dSizes sizes = StoredSizes(integers);
  if (integers.inputs == 1) sizes.rest += 256;
  return sizes;
}

// What is asked for beside the limit: widths that integers can have, unless the base has others.
struct Question {
  S4dAccounting accounting;
  S4dWidthList list;
};
Result<Question> AskedFor(const S4dAllocateCommand& c, const FloatCheckpoint& model,
                          const S4dPlan& base, const S4dRanges& ranges) {
  Question q;
  q.list.bits.assign(c.bits.begin(), c.bits.end());
  const Status exported = Stored(model, base, ranges).status();
  if (c.accounting == "ideal") {
    if (!exported.ok()) q.list.most_of_codes = 16;
    q.accounting = [&](const S4dPlan& plan) {
      return IdealSizes(model.graph, model.weights, plan);
    };
    return q;
  }
  if (!exported.ok()) {
    return InvalidArgument(
        fmt::format("recipe {} cannot be exported, so that its bytes need --accounting ideal: {}",
                    c.recipe, exported.message()));
  }
  q.accounting = [&](const S4dPlan& plan) { return Stored(model, plan, ranges); };
  return q;
}

// The result, and how far it and the base are from float on images that the search has not seen.
struct Found {
  S4dAllocation allocation;
  int64_t sample = 0, others = 0;                // images
  std::optional<double> base_kl, allocation_kl;  // on the others, where there are any
};

Result<Found> Search(const S4dAllocateCommand& c, const S4dPlan& base, const FloatCheckpoint& model,
                     const LabeledImages& images, const Progress& progress) {
  OCTET_ASSIGN(const PixelScale scale, ScaleOf(c.model, c.images));
  OCTET_ASSIGN(const S4dRanges ranges, Calibrate(model, images, c.calibrate, scale, c.threads));
  OCTET_ASSIGN(const Question q, AskedFor(c, model, base, ranges));
  ThreadPool pool(c.threads);
  const int64_t all = std::min(c.calibrate, images.count);
  Found found;
  found.sample = std::min(c.sample, all);
  found.others = all - found.sample;
  const auto measure = [&](int64_t begin, int64_t count) {
    const auto frames = [&, begin](int64_t i) { return FramesOf(images, begin + i, scale); };
    return S4dMeanKl::Create(model.graph, model.weights, ranges, count, frames, &pool);
  };
  OCTET_ASSIGN(const S4dMeanKl mean_kl, measure(0, found.sample));
  S4dWidthLimit limit;
  if (c.max_kl > 0) limit.max_kl = c.max_kl;
  if (c.budget_kb > 0) limit.budget_bytes = static_cast<int64_t>(c.budget_kb * 1e3);
  OCTET_ASSIGN(std::vector<S4dTensorForms> forms,
               MeasureS4dForms(base, model.graph, q.list, q.accounting, mean_kl, progress));
  OCTET_ASSIGN(found.allocation,
               AllocateS4dWidths(base, limit, std::move(forms), q.accounting, mean_kl, progress));
  if (found.others == 0) return found;
  OCTET_ASSIGN(const S4dMeanKl others, measure(found.sample, found.others));
  OCTET_ASSIGN(found.base_kl, others.Of(base));
  OCTET_ASSIGN(found.allocation_kl, others.Of(found.allocation.plan));
  return found;
}

Json ToJson(const S4dAttempt& a, std::optional<double> others) {
  Json j = Json::MakeObject();
  j.Set("bytes", a.sizes.total());
  j.Set("flash_bytes", a.sizes.total() - a.sizes.ram);
  j.Set("ram_bytes", a.sizes.ram);
  j.Set("kl_mean", a.kl);
  if (others) j.Set("kl_mean_others", *others);
  return j;
}

Json ToJson(const S4dAllocateCommand& c, const Found& f) {
  Json j = Json::MakeObject();
  j.Set("output", c.output);
  j.Set("recipe", c.recipe);
  j.Set("accounting", c.accounting);
  j.Set("images", f.sample);
  j.Set("other_images", f.others);
  j.Set("base", ToJson(f.allocation.base, f.base_kl));
  j.Set("allocation", ToJson(f.allocation.winner, f.allocation_kl));
  j.Set("attempts", std::ssize(f.allocation.attempts));
  Json tensors = Json::MakeArray();
  for (const S4dTensorForms& t : f.allocation.tensors) {
    Json tensor = Json::MakeObject(), forms = Json::MakeArray();
    tensor.Set("tensor", t.tensor);
    tensor.Set("bits", t.forms[t.chosen].bits);
    tensor.Set("base_bits", t.forms[t.base].bits);
    for (const S4dForm& form : t.forms) {
      Json entry = Json::MakeObject();
      entry.Set("bits", form.bits);
      entry.Set("bytes", form.bytes);
      entry.Set("kl_mean", form.kl);
      forms.Append(std::move(entry));
    }
    tensor.Set("alone", std::move(forms));
    tensors.Append(std::move(tensor));
  }
  j.Set("tensors", std::move(tensors));
  return j;
}

std::string ToText(const S4dAllocateCommand& c, const Found& f) {
  Table tensors({"tensor", "bits", "bytes", "KL alone", "bits of " + c.recipe});
  for (const S4dTensorForms& t : f.allocation.tensors) {
    const S4dForm& form = t.forms[t.chosen];
    tensors.Add({t.tensor, fmt::format("{}", form.bits), FormatCount(form.bytes),
                 FormatDecimals(form.kl), fmt::format("{}", t.forms[t.base].bits)});
  }
  Table summary({"", "bytes", "flash", "RAM", "KL", "KL, other images"});
  const auto add = [&](const std::string& name, const S4dAttempt& a, std::optional<double> others) {
    summary.Add({name, FormatCount(a.sizes.total()), FormatCount(a.sizes.total() - a.sizes.ram),
                 FormatCount(a.sizes.ram), FormatDecimals(a.kl),
                 others ? FormatDecimals(*others) : "-"});
  };
  add(c.recipe, f.allocation.base, f.base_kl);
  add("allocated", f.allocation.winner, f.allocation_kl);
  return fmt::format(
      "{}\n{}\nKL in nats per image from float, on {} that the search saw and {} that it did\n"
      "not, all of those that calibrate; bytes: {}.\nwritten to {}\n",
      tensors.Text(), summary.Text(), f.sample, f.others,
      c.accounting == "ideal" ? "each value in its own bits" : "as octet export c stores them",
      c.output);
}

}  // namespace

Status Run(const S4dAllocateCommand& c) {
  OCTET_TRY(CheckCommand(c));
  const std::string reports[] = {c.output};
  OCTET_TRY(ProbeReports(c.model, reports));
  OCTET_ASSIGN(const FloatCheckpoint model, LoadFloatS4dModel(c.model));
  OCTET_ASSIGN(const S4dPlan base, LoadS4dRecipe(c.recipe, model.graph));
  OCTET_ASSIGN(const LabeledImages images,
               LoadCalibrationImages(c.images, c.calibrate, "allocate"));
  ProgressBar bar;
  const Result<Found> found = Search(c, base, model, images, bar.Callback());
  if (!found.ok()) return found.status().Annotate(c.model);
  const Json recipe = S4dRecipeFile(c.recipe, found->allocation.plan);
  OCTET_TRY(WriteTextFile(c.output, recipe.Dump(2) + "\n"));
  if (c.json) {
    PrintJson("s4d.allocate", ToJson(c, *found));
  } else {
    Print(ToText(c, *found));
  }
  return {};
}

}  // namespace octet::cli
