#include "apps/cli/html.h"

#include <fmt/format.h>

#include "apps/cli/term.h"

namespace octet::cli {
namespace {

constexpr const char* kCommonStyle = R"(
:root { --page: #ffffff; --ink: #1b1f24; --quiet: #57606a; --line: #d0d7de; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171b; --ink: #e6e8eb; --quiet: #9aa4af; --line: #3a414a; }
}
body { margin: 1rem auto; max-width: 76rem; padding: 0 1rem; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.2rem 0 .3rem; }
p { margin: .3rem 0; color: var(--quiet); max-width: 44rem; }
figure { margin: 1rem 0; }
figcaption { font-size: .85rem; }
text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.scroll { overflow-x: auto; }
.axis { stroke: var(--line); stroke-width: 1; }
.tick { fill: var(--quiet); font-size: 10px; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
)";

}  // namespace

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : Printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string ShortNumber(double value) {
  if (value == 0) return "0";
  std::string text = fmt::format("{:.0e}", value);  // "3e-04"
  const size_t zero = text.find('e') + 2;
  if (text[zero] == '0') text.erase(zero, 1);
  return text;
}

std::string HtmlHead(const std::string& title, std::string_view style) {
  std::string head =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
  head += Escaped(title) + "</title>\n<style>" + kCommonStyle;
  head += style;
  return head + "</style>\n</head>\n<body>\n";
}

}  // namespace octet::cli
