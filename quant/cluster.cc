#include "quant/cluster.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

namespace octet {
namespace {

using Vector = std::vector<double>;

struct Cluster {
  std::vector<int64_t> members;  // heads of the group, ascending
  Vector mean;
};

double SquaredDistance(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return sum;
}

double WardCost(const Cluster& a, const Cluster& b) {
  const auto na = static_cast<double>(a.members.size()), nb = static_cast<double>(b.members.size());
  return na * nb / (na + nb) * SquaredDistance(a.mean, b.mean);
}

void Merge(const Cluster& from, Cluster* into) {
  const auto na = static_cast<double>(into->members.size());
  const auto nb = static_cast<double>(from.members.size());
  for (size_t i = 0; i < from.mean.size(); ++i) {
    into->mean[i] = (na * into->mean[i] + nb * from.mean[i]) / (na + nb);
  }
  std::vector<int64_t> members;
  std::ranges::merge(into->members, from.members, std::back_inserter(members));
  into->members = std::move(members);
}

// Ward's clusters of `vectors`, in the order of their first member.
std::vector<std::vector<int64_t>> Ward(const std::vector<Vector>& vectors) {
  std::vector<Cluster> clusters;
  clusters.reserve(vectors.size());
  for (const Vector& v : vectors) {
    clusters.push_back({{static_cast<int64_t>(clusters.size())}, v});
  }
  while (static_cast<int64_t>(clusters.size()) > kMaxClusters) {
    size_t first = 0, second = 1;
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < clusters.size(); ++i) {
      for (size_t j = i + 1; j < clusters.size(); ++j) {
        const double cost = WardCost(clusters[i], clusters[j]);
        if (cost >= least) continue;
        least = cost;
        first = i;
        second = j;
      }
    }
    Merge(clusters[second], &clusters[first]);
    clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(second));
  }
  std::vector<std::vector<int64_t>> members;
  members.reserve(clusters.size());
  for (Cluster& c : clusters) {
    members.push_back(std::move(c.members));
  }
  return members;
}

// cost[i * (n + 1) + j]: sum of squared distances of columns [i, j) to their mean.
Vector RunCosts(const std::vector<const Vector*>& rows, size_t n) {
  Vector cost(n * (n + 1), 0.0);
  for (size_t i = 0; i < n; ++i) {
    Vector mean(rows.size(), 0.0);
    double sum = 0;
    for (size_t j = i; j < n; ++j) {  // Welford's update, for each row
      const auto count = static_cast<double>(j - i + 1);
      for (size_t r = 0; r < rows.size(); ++r) {
        const double difference = (*rows[r])[j] - mean[r];
        mean[r] += difference / count;
        sum += difference * ((*rows[r])[j] - mean[r]);
      }
      cost[i * (n + 1) + j + 1] = sum;
    }
  }
  return cost;
}

// Lengths of the at most kMaxClusters contiguous runs of columns with the least total cost.
std::vector<int64_t> SplitColumns(const std::vector<const Vector*>& rows) {
  const size_t n = rows[0]->size();
  const size_t runs = std::min(n, static_cast<size_t>(kMaxClusters));
  const Vector cost = RunCosts(rows, n);
  // best[k * (n + 1) + i]: least cost of columns [i, n) in k + 1 runs, the first of which ends at
  // end[k * (n + 1) + i].
  Vector best(runs * (n + 1), std::numeric_limits<double>::infinity());
  std::vector<size_t> end(runs * (n + 1), n);
  for (size_t k = 0; k < runs; ++k) {
    for (size_t i = 0; i + k < n; ++i) {
      const size_t at = k * (n + 1) + i;
      if (k == 0) {
        best[at] = cost[i * (n + 1) + n];
        continue;
      }
      for (size_t j = i + 1; j + k <= n; ++j) {
        const double total = cost[i * (n + 1) + j] + best[(k - 1) * (n + 1) + j];
        if (total >= best[at]) continue;
        best[at] = total;
        end[at] = j;
      }
    }
  }
  std::vector<int64_t> sizes;
  for (size_t k = runs, i = 0; k-- > 0;) {
    const size_t next = end[k * (n + 1) + i];
    sizes.push_back(static_cast<int64_t>(next - i));
    i = next;
  }
  return sizes;
}

Status Check(std::span<const float> range, int64_t heads, int64_t head_dim, int64_t groups) {
  if (heads < 1 || head_dim < 1 || groups < 1 || heads % groups != 0 ||
      static_cast<int64_t>(range.size()) / head_dim != heads ||
      static_cast<int64_t>(range.size()) % head_dim != 0) {
    return InvalidArgument(fmt::format("{} channel ranges for {} heads of {} channels in {} groups",
                                       range.size(), heads, head_dim, groups));
  }
  for (const float v : range) {
    if (!(v >= 0 && std::isfinite(v))) return Corrupt(fmt::format("a channel has the range {}", v));
  }
  return {};
}

// The channels of one head, ascending by range.
std::vector<int64_t> SortChannels(std::span<const float> range) {
  std::vector<int64_t> order(range.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](int64_t p) { return range[static_cast<size_t>(p)]; });
  return order;
}

// The ranges in that order, scaled to length 1; zeros stay zeros.
Vector Normalized(std::span<const float> range, const std::vector<int64_t>& order) {
  Vector v;
  double square = 0;
  for (const int64_t p : order) {
    v.push_back(static_cast<double>(range[static_cast<size_t>(p)]));
    square += v.back() * v.back();
  }
  for (double& e : v) {
    e = square > 0 ? e / std::sqrt(square) : 0;
  }
  return v;
}

}  // namespace

Result<HeadClusters> ClusterHeads(std::span<const float> range, int64_t heads, int64_t head_dim,
                                  int64_t groups) {
  OCTET_TRY(Check(range, heads, head_dim, groups));
  const int64_t per_group = heads / groups;
  HeadClusters result;
  result.head_sizes.assign(static_cast<size_t>(groups * kMaxClusters), 0);
  result.channel_sizes.assign(static_cast<size_t>(groups * kMaxClusters * kMaxClusters), 0);
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<std::vector<int64_t>> orders;
    std::vector<Vector> vectors;
    for (int64_t h = g * per_group; h < (g + 1) * per_group; ++h) {
      const auto row =
          range.subspan(static_cast<size_t>(h * head_dim), static_cast<size_t>(head_dim));
      orders.push_back(SortChannels(row));
      vectors.push_back(Normalized(row, orders.back()));
    }
    int64_t cluster = g * kMaxClusters;
    for (const std::vector<int64_t>& members : Ward(vectors)) {
      std::vector<const Vector*> rows;
      for (const int64_t member : members) {
        const auto& channels = orders[static_cast<size_t>(member)];
        rows.push_back(&vectors[static_cast<size_t>(member)]);
        result.order.heads.push_back(g * per_group + member);
        result.order.channels.insert(result.order.channels.end(), channels.begin(), channels.end());
      }
      result.head_sizes[static_cast<size_t>(cluster)] = static_cast<int64_t>(members.size());
      std::ranges::copy(SplitColumns(rows), result.channel_sizes.begin() + cluster * kMaxClusters);
      ++cluster;
    }
  }
  return result;
}

}  // namespace octet
