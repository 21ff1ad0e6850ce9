// Tables, curves and orderings of a group of variants.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "page.hpp"

namespace rt_reproduce {

/// A column of a table: a number of each cell, before and after.
struct Column {
  std::string title;
  std::function<std::optional<double>(const CellResult&, bool after)> value;
  bool seeds = false;  ///< also list the seeds' numbers
};
/// A held-out metric; a sentinel; the sentinels that every table shows.
Column metric_column(std::string title, std::string metric, bool seeds = false);
Column sentinel_column(std::string title, std::string sentinel);
std::vector<Column> sentinel_columns();

class Comparison {
 public:
  Comparison(Page& page, Group group) : page_(page), group_(std::move(group)) {}

  const Group& group() const { return group_; }
  /// Whether any of its cells is planned; else the page says that it was left out.
  bool planned();
  /// A row of the untuned model and one of each variant.
  void table(const std::vector<Column>& columns);
  /// A held-out metric over reward queries, a line a variant: the mean of the seeds as far as all go.
  void curves(const std::string& file, const std::string& metric, const std::string& title, const std::string& y_label);
  /// Rows of images, first seed.
  void samples(const std::string& file, int steps, double eta);
  /// "- a > b in metric: true in 2 of 3 seeds ...; the paper's ordering (numbers) holds here."
  void ordering(const std::string& better, const std::string& worse, const std::string& metric,
                const std::string& metric_title, const std::string& paper);
  /// How many seeds say that `better` ends above `worse`.
  Votes votes(const std::string& better, const std::string& worse, const std::string& metric) const;
  const Variant& variant(const std::string& label) const;
  std::string cell(const std::string& label, std::uint64_t seed) const {
    return variant_cell(group_, variant(label), seed);
  }

 private:
  Page& page_;
  Group group_;
};

}  // namespace rt_reproduce
