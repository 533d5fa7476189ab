#include "eval/wikitext.h"

#include <utility>

#include "base/utf8.h"
#include "text/python_string.h"

namespace octet {
namespace {

std::string UniversalNewlines(std::string_view text) {
  return ReplaceAll(ReplaceAll(text, "\r\n", "\n"), "\r", "\n");
}

// Calls line(text without its end, whether it has one) for each; there is none after a last end.
template <class Function>
void ForEachLine(std::string_view text, Function line) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    line(text.substr(0, end), end != text.npos);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
}

bool IsTitle(std::string_view line) {
  const std::string marked = ReplaceAll(ReplaceAll(line, "= = =", "==="), "= =", "==");
  const std::string_view text = Strip(marked);
  return text.starts_with("= ") && text.ends_with(" =");
}

// The pattern /' [0-9]/, slashes included, which was meant to be one without; every match becomes
// the replacement's own text.
std::string ReplaceSlashedDigits(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const std::string_view at = text.substr(i, 5);
    if (at.size() == 5 && at.starts_with("/' ") && at[3] >= '0' && at[3] <= '9' && at[4] == '/') {
      out += "/'[0-9]/";
      i += 5;
    } else {
      out += text[i++];
    }
  }
  return out;
}

// White space goes that follows an `open` and precedes the next `close`.
std::string TrimWithin(std::string_view text, char open, char close) {
  std::string out;
  for (;;) {
    const size_t begin = text.find(open);
    const size_t end = begin == text.npos ? text.npos : text.find(close, begin + 1);
    if (end == text.npos) return out += text;
    out += text.substr(0, begin + 1);
    out += Strip(text.substr(begin + 1, end - begin - 1));
    out += close;
    text.remove_prefix(end + 1);
  }
}

std::string ReplaceEach(std::string text,
                        std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
  for (const auto& [from, to] : list) {
    text = ReplaceAll(text, from, to);
  }
  return text;
}

}  // namespace

std::string JoinWikiRows(std::string_view raw) {
  std::string joined;
  bool first = true;
  ForEachLine(UniversalNewlines(raw), [&](std::string_view line, bool ended) {
    if (!std::exchange(first, false)) joined += "\n\n";
    if (Strip(line).empty()) return;
    joined += line;
    if (ended) joined += '\n';
  });
  return joined;
}

std::vector<std::string> WikiPages(std::string_view raw) {
  std::vector<std::string> pages;
  const std::string text = UniversalNewlines(raw);
  size_t begin = 0, at = 0;  // of the page, of the line
  ForEachLine(text, [&](std::string_view line, bool ended) {
    if (IsTitle(line) && at > begin) {
      const std::string_view page = std::string_view(text).substr(begin, at - 1 - begin);
      if (!Strip(page).empty()) pages.emplace_back(page);
      begin = at;
    }
    at += line.size() + (ended ? 1 : 0);
  });
  if (const auto page = text.substr(begin); !Strip(page).empty()) pages.push_back(page);
  return pages;
}

std::string Detokenized(std::string_view page) {
  std::string text = ReplaceSlashedDigits(ReplaceAll(page, "s '", "s'"));
  text = ReplaceEach(std::move(text), {{" @-@ ", "-"},
                                       {" @,@ ", ","},
                                       {" @.@ ", "."},
                                       {" : ", ": "},
                                       {" ; ", "; "},
                                       {" . ", ". "},
                                       {" ! ", "! "},
                                       {" ? ", "? "},
                                       {" , ", ", "}});
  text = TrimWithin(text, '(', ')');
  text = TrimWithin(text, '[', ']');
  text = TrimWithin(text, '{', '}');
  text = TrimWithin(text, '"', '"');
  text = TrimWithin(text, '\'', '\'');
  return ReplaceEach(std::move(text), {{"= = = =", "===="},
                                       {"= = =", "==="},
                                       {"= =", "=="},
                                       {" \u00b0 ", "\u00b0"},
                                       {" \n", "\n"},
                                       {"\n ", "\n"},
                                       {" N ", " 1 "},
                                       {" 's", "'s"}});
}

int64_t CountWords(std::string_view page) {
  int64_t words = 1;
  while (!page.empty()) {
    if (const std::string_view rest = StripLeft(page); rest.size() < page.size()) {
      ++words;
      page = rest;
    } else {
      page.remove_prefix(ReadUtf8(page, 0).length);
    }
  }
  return words;
}

}  // namespace octet
