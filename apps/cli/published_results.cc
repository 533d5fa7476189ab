#include "apps/cli/published_results.h"

namespace octet::cli {

const char* const kPublishedResults = R"(
## Other models, from the papers

Copied from the papers, not measured here: models of 130 M to 8 B parameters, other texts and
protocols. Compare orders and ratios, not values.

WikiText-2 perplexity, Mamba-2 (SSDi8, arXiv:2608.21952):

| method | bits | 1.3B | 2.7B | 8B |
|---|---|--:|--:|--:|
| float | FP16 | 10.42 | 9.06 | 7.25 |
| HAD | W8A8 | 11.31 | 11.42 | 8.57 |
| Quamba2 | W8A8 | 10.80 | 9.32 | 7.79 |
| SSDi8 | W8A8 | 10.63 | 9.22 | 7.49 |
| HAD | W4A8 | 11.63 | 11.85 | 8.79 |
| Quamba2 | W4A8 | 11.08 | 9.54 | 7.94 |
| SSDi8 | W4A8 | 10.92 | 9.43 | 7.62 |

Mean zero-shot accuracy over six tasks, %, Mamba-2 (SSDi8; W4A16 from Quamba2, arXiv:2503.22879):

| method | bits | 1.3B | 2.7B | 8B |
|---|---|--:|--:|--:|
| float | FP16 | 59.5 | 63.8 | 70.7 |
| Quamba | W8A8 | 55.2 | 56.5 | 64.8 |
| Quamba2 | W8A8 | 58.3 | 62.5 | 69.8 |
| SSDi8 | W8A8 | 59.1 | 63.2 | 70.2 |
| Quamba2 | W4A8 | 57.7 | 62.1 | 69.1 |
| SSDi8 | W4A8 | 58.8 | 62.6 | 69.6 |
| Quamba2 | W4A16 | 58.9 | 63.3 | 69.8 |

The same, Mamba-1 (Quamba2, table 11):

| method | bits | 1.4B | 2.8B |
|---|---|--:|--:|
| float | FP16 | 59.7 | 63.1 |
| Quamba | W8A8 | 57.9 | 62.0 |
| Quamba2 | W8A8 | 58.1 | 62.2 |
| Quamba2 | W4A8 | 57.5 | 61.4 |
| Quamba2 | W4A16 | 58.5 | 62.6 |

Mamba-1 2.8B (Quamba, arXiv:2410.13229, from notes on the paper):

| method | WikiText-2 perplexity | zero-shot mean, % |
|---|--:|--:|
| float, FP16 | 9.45 | 63.1 |
| SmoothQuant-SSM | 13.59 | 57.3 |
| QuaRot-SSM | 9.89 | 62.4 |
| Quamba | 9.91 | 62.2 |

Quamba-SE, Mamba-1 130M: up to 2.68 points on one task and up to 0.83 points of the mean over Quamba.
The standard error of such a mean over the full test sets is about 0.42 points.
)";

}  // namespace octet::cli
