// WikiText in the raw form (wiki.test.raw; Merity et al. 2016, arXiv:1609.07843) as it is read
// where perplexities are published. All follow programs in Python to the byte: lines end with "\n",
// "\r\n" or "\r", which become "\n", and white space is what str.isspace() says. Text is
// well-formed UTF-8.
#ifndef OCTET_EVAL_WIKITEXT_H_
#define OCTET_EVAL_WIKITEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

// "\n\n".join(dataset["text"]) of Hugging Face's wikitext-2-raw-v1, which GPTQ, Quamba and Hugging
// Face's guide encode: a row for each line with the "\n" at its end, or "" for a line of white
// space. That is not the file: a paragraph is followed by three line breaks.
std::string JoinWikiRows(std::string_view raw);

// The pages of EleutherAI/wikitext_document_level: a line " = Title = " starts one, lines with more
// "=" do not. What is before the first title is one too, unless it is white space.
std::vector<std::string> WikiPages(std::string_view raw);

// A page as lm-eval's task wikitext scores it: without the spaces that tokenization put around
// punctuation, by a fixed list of replacements (lm-eval 0.4.13, preprocess_wikitext.py), of which
// some hit more than they mean to: spaces within quotes of two sentences, " N " becomes " 1 ".
std::string Detokenized(std::string_view page);

// Words as that task counts them, of the page as it was: one more than there are runs of white
// space, so that a run at either end counts an empty word.
int64_t CountWords(std::string_view page);

}  // namespace octet
#endif  // OCTET_EVAL_WIKITEXT_H_
