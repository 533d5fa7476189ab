// Contracts of the page of `octet report` and of its plots, on numbers made up here:
// 1. Elements are balanced, attributes quoted, nothing refers to anything outside of the page.
// 2. Names, recipes, prompts and texts of models are text, whatever they hold.
// 3. The numbers stand there: size, perplexity with its interval, ratio, KL, agreement, speeds.
// 4. Verdicts: the smallest near float by the end of its interval, the closest, ties named, models
//    for which nothing speaks; and none near float.
// 5. Sections without data are not there. The page and the same page again are equal.
// 6. Axes have round ends around their values, also for one value, zeros and negative logarithms.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "apps/cli/chart_axis.h"
#include "apps/cli/chart_svg.h"
#include "apps/cli/report_page.h"

namespace octet::cli {
namespace {

constexpr const char* kHostile = "</title><script>alert(\"1\")</script>&amp;'\xff\x1b[31m";

CompareReport Quality(double ratio, double kl) {
  CompareReport q;
  q.kl_mean = {kl, 0.9 * kl, 1.1 * kl};
  q.kl_p50 = kl / 2;
  q.top1_agreement = 1 - kl;
  q.reference_nll = {2, 1.9, 2.1};
  q.candidate_nll = {2 + std::log(ratio), 1.9, 2.2};
  q.reference_perplexity = std::exp(2.0);
  q.candidate_perplexity = std::exp(2.0) * ratio;
  q.perplexity_ratio = {ratio, ratio - 0.002, ratio + 0.002};
  q.tokens = 1000;
  q.windows = 6;
  q.window_kl = {kl, 1.01 * kl, 0.99 * kl, kl, 1.01 * kl, 0.99 * kl};
  q.by_position = {{0, 1, {kl, kl / 2, 2 * kl}}, {1, 2, {2 * kl, kl, 3 * kl}}, {2, 4, {0, 0, 0}}};
  return q;
}

// A float model and two others.
ReportPage TwoModels() {
  ReportPage page;
  page.names = {"float", "near", "small"};
  page.folders = {"m/float", "m/near", "m/small"};
  page.recipes = {"", "w8a8-dynamic", "absmax"};
  page.text = "text.txt";
  page.calibration = "other.txt";
  page.isa = "avx2";
  page.data.models.resize(3);
  page.data.models[0].size = {4'000'000, 5'000'000, 1'000'000};
  page.data.models[1].size = {4'000'000, 2'000'000, 100'000};
  page.data.models[2].size = {2'000'000, 1'000'000, 100'000};
  for (ModelReport& m : page.data.models) {
    m.state_bytes = 2'170'000;
  }
  page.data.models[1].quality = Quality(1.003, 0.0125);
  page.data.models[2].quality = Quality(1.05, 0.25);
  return page;
}

void AddSpeed(ReportPage* page, std::vector<Spread> prefill) {
  page->data.speed.emplace();
  for (size_t i = 0; i < prefill.size(); ++i) {
    BenchRow row;
    row.subject = i;
    row.tokens = 512;
    row.tokens_per_s = prefill[i];
    page->data.speed->rows.push_back(row);
    row.test = BenchTest::kDecode;
    row.tokens = 64;
    page->data.speed->rows.push_back(row);
  }
}

// Everything that a page can have, all names hostile.
ReportPage FullPage() {
  ReportPage page = TwoModels();
  page.names = {std::string("a") + kHostile, std::string("b") + kHostile, std::string(200, 'c')};
  page.folders = page.names;
  page.recipes = {"", kHostile, kHostile};
  page.text = page.calibration = page.isa = page.prompt = page.sensitivity_recipe = kHostile;
  page.left_out = {kHostile};
  AddSpeed(&page, {{100, 90, 110}, {250, 249, 251}, {200, 150, 260}});
  page.samples = {{"one two\nthree", {1, 2, 3}, false},
                  {std::string("one ") + kHostile, {1, 4}, false},
                  {"one two\nthree", {1, 2, 3}, true}};
  Sensitivity s;
  s.layers = 1;
  s.items = {{SensitivityItem::Kind::kMatrix, 0, "in_proj", 4, 10, 20, 0.125, 0.01},
             {SensitivityItem::Kind::kSite, 0, "u_norm", 8, 0, 0, 0, 0}};
  page.sensitivity = s;
  SiteHistogram codes;
  codes.site = "layers.0.x";
  codes.values = 10;
  codes.saturated = 1;
  codes.left = -140;
  codes.width = 280.0 / SiteHistogram::kBins;
  codes.bins.assign(SiteHistogram::kBins, 0);
  codes.bins.front() = 1;
  codes.bins[64] = 9;
  codes.grid = SiteGrid{kHostile, "static", 0.5, 0.5, 1, -127.5, 127.5, {-127, 0, 127}, {}};
  codes.grid->used = {false, true, true};
  SiteHistogram floats = codes;
  floats.grid.reset();
  floats.min = -2;
  floats.max = 3.5;
  page.data.layers = {0};
  for (ModelReport& m : page.data.models) {
    m.sites.emplace();
    m.sites->tokens = 77;
    m.sites->panels = {{0, {"layers.0.x", "x", kHostile, false}, codes},
                       {0, {"layers.0.dt", "dt", "step", false}, floats}};
    m.sites->saturation["layers.0.x"] = {1000, 25};
    m.sites->saturation["final_norm"] = {1000, 0};
  }
  page.accuracy.resize(3);
  for (size_t i = 0; i < 3; ++i) {
    TaskReport task;
    task.task = FindTask("lambada_openai");
    task.items = 200;
    task.acc = {0.625 - 0.01 * static_cast<double>(i), 0.02};
    page.accuracy[i].tasks = {task};
    if (i == 0) continue;
    PairedTask paired;
    paired.task = task.task;
    paired.items = 200;
    paired.difference = {-0.01, -0.03, 0.01};
    paired.lost = 7;
    page.accuracy[i].paired = {{paired}, {-0.01, -0.03, 0.01}};
  }
  DriftReport drift;
  drift.format = "i8";
  drift.buckets = {{0, 1, 0, 0, 1, 0}, {1, 2, 1e-4, 1e-4, 1, 0.01}};
  page.data.models[1].drift = drift;
  return page;
}

// What is wrong with the structure of `html`; "" for nothing.
std::string Fault(const std::string& html) {
  const std::set<std::string> empty = {"meta", "br"};
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != html.npos; at = html.find('<', at + 1)) {
    if (html.compare(at, 9, "<!DOCTYPE") == 0) continue;
    const bool closes = html[at + 1] == '/';
    size_t i = at + 1 + (closes ? 1 : 0);
    const size_t name_at = i;
    while (i < html.size() && (std::isalnum(static_cast<unsigned char>(html[i])) != 0)) {
      ++i;
    }
    const std::string name = html.substr(name_at, i - name_at);
    if (name.empty()) return "no name at: " + html.substr(at, 40);
    bool quoted = false;
    for (; i < html.size() && (quoted || html[i] != '>'); ++i) {
      if (html[i] == '"') quoted = !quoted;
      if (html[i] == '<') return "an element inside of one: " + html.substr(at, 80);
    }
    if (i == html.size()) return "not closed: " + html.substr(at, 40);
    if (closes) {
      if (open.empty() || open.back() != name) return "closes nothing: " + html.substr(at, 40);
      open.pop_back();
      continue;
    }
    if (html[i - 1] != '/' && !empty.contains(name)) open.push_back(name);
    if (name == "style") at = html.find("</style", i) - 1;
  }
  return open.empty() ? "" : "left open: " + open.back();
}

void ExpectContains(const std::string& html, const std::string& part) {
  EXPECT_NE(html.find(part), std::string::npos) << part;
}

TEST(ReportHtml, IsBalancedAndAlone) {
  EXPECT_EQ(Fault("<p><b>a</p>"), "closes nothing: </p>") << "the parser sees faults";
  for (const ReportPage& page : {TwoModels(), FullPage()}) {
    const std::string html = ReportHtml(page);
    EXPECT_EQ(Fault(html), "");
    for (const char* outside : {"http", "src=", "href", "url(", "@import", "<script", "<link"}) {
      EXPECT_EQ(html.find(outside), std::string::npos) << outside;
    }
    EXPECT_EQ(html, ReportHtml(page));
    EXPECT_EQ(html.find("nan"), std::string::npos);
    EXPECT_EQ(html.find("inf "), std::string::npos);
  }
}

TEST(ReportHtml, NamesAndTextsAreText) {
  const std::string html = ReportHtml(FullPage());
  EXPECT_EQ(html.find("alert(\""), std::string::npos);
  EXPECT_EQ(html.find('\x1b'), std::string::npos);
  ExpectContains(html, "b&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot;)");
  ExpectContains(html, "&amp;amp;");
  // The text of a model from where it departs; line breaks stay.
  ExpectContains(html, "one <mark>&lt;/title&gt;");
  ExpectContains(html, "one two\nthree");
  ExpectContains(html, "the first 1 of 2 tokens as float");
  ExpectContains(html, "the first 3 of 3 tokens as float");
  // In charts a long name is cut.
  ExpectContains(html, std::string(15, 'c') + "…</text>");
}

TEST(ReportHtml, HasTheNumbers) {
  ReportPage page = TwoModels();
  AddSpeed(&page, {{100, 90, 110}, {250, 249, 251}, {200, 150, 260}});
  const std::string html = ReportHtml(page);
  for (const char* part :
       {"10.0 MB", "6.10 MB", "61 % of float", "2.17 MB", "7.389", "6.686 to 8.166", "1.0030",
        "1.0010 to 1.0050", "0.0125", "98.75 %", ">250<", "2.50 × float", "w8a8-dynamic", "pp512",
        "tg64", "1,000 tokens in 6 windows"}) {
    ExpectContains(html, part);
  }
  // The best of a column and no other: the smallest model, not the float one.
  ExpectContains(html, "<span class=\"best\">3.10 MB</span>");
  EXPECT_EQ(html.find("<span class=\"best\">10.0 MB</span>"), std::string::npos);
}

TEST(ReportHtml, LeavesOutSectionsWithoutData) {
  const std::string bare = ReportHtml(TwoModels()), full = ReportHtml(FullPage());
  for (const char* heading : {"Accuracy", "Speed", "What costs quality", "Saturation",
                              "Activations and their codes", "The same prompt"}) {
    EXPECT_EQ(bare.find(fmt::format("<h2>{}<", heading)), std::string::npos) << heading;
    ExpectContains(full, fmt::format("<h2>{}<", heading));
  }
}

TEST(ReportHtml, ShowsSitesAndTheirCodes) {
  const std::string html = ReportHtml(FullPage());
  ExpectContains(html, "2.5000 %");  // 25 of 1000
  ExpectContains(html, "Never in any model: final_norm.");
  ExpectContains(html, "step 0.5; 10.0000 % beyond; 2 of 3 codes used");
  ExpectContains(html, ">63.8<");  // 127.5 steps of 0.5
  ExpectContains(html, "in floats, -2 to 3.5");
  ExpectContains(html, "<path class=\"beyond\"");
}

TEST(ReportHtml, ShowsAccuracyAndItsDifferences) {
  const std::string html = ReportHtml(FullPage());
  for (const char* part : {"62.50 %", "61.50 %", "lambada_openai, acc, 200 items", "58.58 to 66.42",
                           "-1.00 (-3.00 to +1.00)", "lost 7, won 0"}) {
    ExpectContains(html, part);
  }
  // Whiskers end where accuracies do.
  ReportPage page = FullPage();
  page.accuracy[0].tasks[0].acc = {0.99, 0.02};
  page.accuracy[1].tasks[0].acc = {0.01, 0.02};
  ExpectContains(ReportHtml(page), ": 99.00 %, 95.08 to 100.00");
  ExpectContains(ReportHtml(page), ": 1.00 %, 0.00 to 4.92");
}

std::string Sentence(const Verdict& v) {
  return v.before + v.model + v.after;
}

TEST(Verdicts, NameTheSmallestThatIsSurelyNear) {
  ReportPage page = TwoModels();
  std::vector<Verdict> v = Verdicts(page);
  EXPECT_EQ(v[0].model, "near");
  ExpectContains(Sentence(v[0]), "6.10 MB, 61 % of float; perplexity +0.30 %");
  EXPECT_EQ(v[1].model, "near") << "closest";
  EXPECT_EQ(v[2].model, "small") << "smallest";
  EXPECT_EQ(v.size(), 3u);
  // Near, but the interval reaches beyond 1 %.
  page.data.models[1].quality->perplexity_ratio = {1.003, 0.99, 1.011};
  v = Verdicts(page);
  ExpectContains(Sentence(v[0]), "None is");
  EXPECT_EQ(v[0].model, "near");
}

TEST(Verdicts, SayWhatCannotBeToldApart) {
  ReportPage page = TwoModels();
  page.data.models[2].quality->window_kl = {0.2, 0.001, 0.0001, 0.01, 0.01, 0.01};
  page.data.models[1].quality->window_kl = {0.001, 0.2, 0.01, 0.0001, 0.01, 0.01};
  AddSpeed(&page, {{100, 90, 110}, {250, 240, 251}, {200, 150, 241}});
  const std::vector<Verdict> v = Verdicts(page);
  ExpectContains(Sentence(v[1]), "not told apart from it: small");
  EXPECT_EQ(v[3].model, "near");
  ExpectContains(Sentence(v[3]), "250 tokens/s, 2.50 times float; not told apart from it: small");
  EXPECT_EQ(v[3].before, "Highest median speed with a prompt: ");
  AddSpeed(&page, {{100, 90, 110}, {250, 242, 251}, {200, 150, 241}});
  EXPECT_EQ(Verdicts(page)[3].before, "Fastest with a prompt: ");
  EXPECT_EQ(Sentence(Verdicts(page)[3]).find("told apart"), std::string::npos);
}

TEST(Verdicts, NothingSpeaksForAModelThatAnotherBeats) {
  ReportPage page = TwoModels();
  page.data.models[2].size = {4'000'000, 3'000'000, 0};
  std::vector<Verdict> v = Verdicts(page);
  EXPECT_EQ(v.back().before, "Nothing speaks for ");
  EXPECT_EQ(v.back().model, "small");
  AddSpeed(&page, {{100, 90, 110}, {250, 240, 251}, {300, 290, 310}});
  EXPECT_NE(Verdicts(page).back().before, "Nothing speaks for ") << "it is faster";
}

TEST(Verdicts, TellNothingApartByAFewWindows) {
  for (const size_t windows : {1u, 5u}) {
    ReportPage page = TwoModels();
    page.data.models[2].size = {4'000'000, 3'000'000, 0};
    for (const size_t i : {1u, 2u}) {
      page.data.models[i].quality->window_kl.resize(windows);
    }
    const std::vector<Verdict> v = Verdicts(page);
    ExpectContains(Sentence(v[1]), "not told apart from it: small");
    EXPECT_NE(v.back().before, "Nothing speaks for ") << windows;
  }
}

TEST(ChartAxis, HasRoundEndsAroundItsValues) {
  const ChartAxis linear = ChartAxis::Linear(0.997, 1.0162, 10, 110);
  EXPECT_EQ(linear.ticks().front().text, "0.995");
  EXPECT_EQ(linear.ticks().back().text, "1.02");
  EXPECT_NEAR(linear.At(0.995), 10, 1e-9);
  EXPECT_NEAR(linear.At(1.02), 110, 1e-9);
  EXPECT_EQ(linear.At(-5), linear.At(0.995)) << "at the end";
  const ChartAxis log = ChartAxis::Logarithmic(0.0003, 0.02, 100, 0);
  EXPECT_EQ(log.ticks().front().text, "1e-4");
  EXPECT_EQ(log.ticks().back().text, "0.1");
  EXPECT_NEAR(log.At(0.001), 100 - 100.0 / 3, 1e-6);
  for (const ChartAxis& a :
       {ChartAxis::Linear(3, 3, 0, 1), ChartAxis::Linear(0, 0, 0, 1),
        ChartAxis::Logarithmic(0, 0, 0, 1), ChartAxis::Logarithmic(-1, 5, 0, 1),
        ChartAxis::Logarithmic(0.01, 0.01, 0, 1)}) {
    EXPECT_GE(a.ticks().size(), 2u);
    EXPECT_TRUE(std::isfinite(a.At(3)));
  }
  // Nothing lies between the ends, and steps between them would be too small to count with.
  EXPECT_LE(ChartAxis::Linear(1e6, std::nextafter(1e6, 2e6), 0, 1).ticks().size(), 10u);
}

}  // namespace
}  // namespace octet::cli
