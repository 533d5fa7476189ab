// Sort and cluster (Quamba2, arXiv 2503.22879; methods_mamba 2.5.2): which heads and channels of
// the SSD input x have similar ranges and may share a scale.
#ifndef OCTET_QUANT_CLUSTER_H_
#define OCTET_QUANT_CLUSTER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"

namespace octet {

inline constexpr int64_t kMaxClusters = 4;  // m of heads and n of channels in the paper

// An order of the heads and channels of one Mamba-2 block. New head i is old head heads[i], of the
// same SSM group; its new channel j is that head's old channel channels[i * P + j].
struct HeadOrder {
  std::vector<int64_t> heads;     // [H], a permutation within each run of H / G
  std::vector<int64_t> channels;  // [H, P], each row a permutation of 0 .. P - 1
};

// Clusters are contiguous in the new order.
struct HeadClusters {
  HeadOrder order;
  // [G, 4]: heads in each cluster of a group; a group of fewer than 4 heads has one cluster for
  // each, and zeros at the end.
  std::vector<int64_t> head_sizes;
  // [G, 4, 4]: channels in each cluster of a head cluster, zeros at the end as above, and all zeros
  // for a head cluster that does not exist.
  std::vector<int64_t> channel_sizes;
};

// `range` [H, P]: how large each channel gets, such as its absolute maximum; finite, >= 0.
// 1. Each head's channels are sorted ascending, and the sorted vector scaled to length 1.
// 2. The heads of a group are clustered by Ward's method: from singletons, the pair that minimizes
//    |A||B| / (|A|+|B|) ||mean_A - mean_B||^2 is merged until 4 are left.
// 3. Each head cluster's columns (one value for each of its heads) are split into 4 runs with the
//    least sum of squared distances to the runs' means: exactly, by dynamic programming, where the
//    paper runs k-means and relies on its labels coming out contiguous.
// Heads within a cluster, and clusters within a group, are in the order of their (first) old head.
// Ties go to the lower old index, and to the shorter first runs: deterministic. Sums in double.
// O(H^3 P / G^2). kInvalidArgument for sizes that do not fit, kCorrupt for a value out of range.
Result<HeadClusters> ClusterHeads(std::span<const float> range, int64_t heads, int64_t head_dim,
                                  int64_t groups);

}  // namespace octet
#endif  // OCTET_QUANT_CLUSTER_H_
