// Tables, curves and differences of a group of variants.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "page.hpp"

namespace rt_reproduce {

/// The mean reward of a run's training images, as a key of Comparison::values.
inline constexpr const char* kTraining = "training";

/// A number of measured.json, "held_out.composition", or kTraining, and its title.
struct Measure {
  std::string key, title;
};

class Comparison {
 public:
  Comparison(Page& page, Group group) : page_(page), group_(std::move(group)) {}

  const Group& group() const { return group_; }
  /// Whether any of its cells is planned; else the page says that it was left out.
  bool planned();
  /// Whether any of its cells is done; else the page says that none is.
  bool begun();
  /// Of every seed whose cell is done and has it.
  SeedValues values(const std::string& label, const std::string& key) const;
  /// better - worse of a seed, of every seed that has both.
  std::vector<double> differences(const std::string& better, const std::string& worse, const std::string& key) const {
    return seed_differences(values(better, key), values(worse, key));
  }
  /// Mean over seeds, nothing without any.
  std::optional<double> mean_of(const std::string& label, const std::string& key) const;
  /// A row a variant: cells, these numbers, reward queries and CPU seconds.
  void table(const std::vector<Measure>& measures);
  /// The reward of training images over reward queries, a line a variant: the mean of the seeds, of three rounds.
  void training_curves(const std::string& y_label);
  /// The trained reward of held-out images over reward queries, a line a variant: the mean of the seeds.
  void held_out_curves(const std::string& y_label);
  /// Rows of images, first seed.
  void samples();
  const Variant& variant(const std::string& label) const;
  std::string cell(const std::string& label, int seed) const {
    return variant_cell(group_, variant(label), static_cast<std::uint64_t>(seed));
  }

 private:
  /// read(cell) of every finished run of a variant.
  template <class Read>
  auto runs(const Variant& variant, Read read) const;

  Page& page_;
  Group group_;
};

}  // namespace rt_reproduce
